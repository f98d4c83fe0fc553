// What is piped into the program, by the names that stand for it everywhere, whether or not the system knows them.

#pragma once

#include <string>

// True of `/dev/stdin`, which Windows does not have and Linux does not open if it is a socket, and of `-`.
bool is_standard_input(const std::string &name);

// All of it, byte for byte.
std::string read_standard_input();
