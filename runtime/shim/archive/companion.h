// Windows refuses programs of 4 GiB or more: larger weights are in a second file beside the program.

#pragma once

#include <string>
#include <vector>

// Paths that may contain the weights of PROGRAM, best first: `x.llamafile` for `x`, `x.exe` and `x.llamafile.exe`.
std::vector<std::string> companions_of(const std::string &program);
