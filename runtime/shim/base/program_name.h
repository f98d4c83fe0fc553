// The names under which the program was started, which decide what it is.

#pragma once

#include <string>

// True if NAME is that of ARGUMENT0, without folders and `.exe`; or, where a launcher unpacked the program, that of the
// file it was unpacked from. To be asked before the container is looked for, which takes the launcher's word away.
bool is_started_as(const std::string &name, const std::string &argument0);
