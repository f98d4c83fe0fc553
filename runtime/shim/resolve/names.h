// Settles what the names among the arguments refer to, before the engine sees them.

#pragma once

#include "options/arguments.h"

#include <string>

// Rewrites names that the engine would not find by itself: those of archives, of which only one member can be meant,
// and of members that it reads past our hooks. Adds the projector that belongs to a model, and how to load one that
// cannot be mapped. False, with a sentence in PROBLEM, if a name refers to nothing, or to something unusable.
bool resolve_names(Arguments &arguments, std::string &problem);
