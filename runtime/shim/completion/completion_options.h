// The command line of completion mode.

#pragma once

#include "base/arguments.h"
#include "common.h"

// Fills PARAMS from ARGUMENTS: the options of the engine's completion tool, and those that only its image tool has.
// Throws UserError for invalid options; returns false if the engine has already reported them.
bool read_completion_options(const Arguments &arguments, common_params &params);
