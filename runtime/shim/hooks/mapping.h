// Whether weights can be used in place.

#pragma once

#include <string>

// False of a file whose file system maps no files, or that exceeds the address space of the process.
bool can_be_mapped(const std::string &name);
