// The name under which the program was started, which selects its function.

#pragma once

#include <string>

// True if NAME is the last component of ARGUMENT0, without `.exe`; or, where a launcher unpacked the program, that of
// the file it was unpacked from. Must be called before own_file_candidates(), which removes the launcher's variable.
bool is_started_as(const std::string &name, const std::string &argument0);
