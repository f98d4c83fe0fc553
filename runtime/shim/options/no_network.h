// Options that need what this program has not: HTTPS, for downloads and for the server.

#pragma once

#include "base/arguments.h"

#include <string>

// Why the engine's option NAME cannot have these VALUES, and what to do instead: the rest of a sentence that begins
// with the option's name. Empty if it can.
std::string network_refusal(const std::string &name, const Arguments &values);

// True if the engine's option NAME would look for a newer model elsewhere, and must be told not to.
bool needs_offline(const std::string &name);
