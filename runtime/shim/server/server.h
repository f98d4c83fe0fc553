// The server before it starts, for all modes that have one.

#pragma once

#include "options/arguments.h"

#include <string>

struct common_params;

// Settles what the engine would find out late or not at all: the model is there, the port is free, an alias was given.
// False with PROBLEM if the server cannot start.
bool prepare_server(common_params &params, const Arguments &arguments, std::string &problem);

// From here on, the sizes of what is asked for are limited (limits.cpp). What is nested too deep for the stack is
// refused in any case.
void limit_requests();
