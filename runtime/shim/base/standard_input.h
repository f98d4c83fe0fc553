// Standard input as a file among the arguments.

#pragma once

#include <string>

// True of `-`, and of `/dev/stdin`, which Windows lacks and Linux cannot open if it is a socket.
bool is_standard_input(const std::string &name);

// All bytes of it, unchanged on all systems. Throws UserError if it cannot be read.
std::string read_standard_input();
