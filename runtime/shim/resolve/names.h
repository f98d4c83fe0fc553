// Resolves the names of files and members among the arguments before the engine sees them.

#pragma once

#include "base/arguments.h"

// Returns ARGUMENTS with names that the engine can open: it replaces archives by the member that they stand for, and
// members that the engine reads without our hooks by their content. Adds the model's projector, and the load mode for
// a model that cannot be mapped. Throws UserError if a name refers to nothing, or to a file of the wrong kind.
Arguments resolve_names(Arguments arguments);
