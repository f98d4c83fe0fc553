// Whether weights can be used where they lie.

#pragma once

#include <string>

// False of a file on a file system that maps nothing, and of one that the process has no address space for.
bool can_be_mapped(const std::string &name);
