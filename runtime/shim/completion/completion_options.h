// What a command line in completion mode asks for.

#pragma once

#include "common.h"
#include "options/arguments.h"

#include <string>

// Fills PARAMS from ARGUMENTS: the options of the engine's completion tool, and those of its image tool that the former
// lacks. False if they make no sense, with a sentence in PROBLEM unless the engine has already said what is wrong.
bool read_completion_options(const Arguments &arguments, common_params &params, std::string &problem);
