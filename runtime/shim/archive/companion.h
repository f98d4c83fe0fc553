// Windows starts no program of 4 GiB and more: weights that large lie beside it, in a file of nearly the same name.

#pragma once

#include <string>
#include <vector>

// Files that may hold the weights of PROGRAM, best first: `x.llamafile` beside `x`, `x.exe` and `x.llamafile.exe`.
std::vector<std::string> companions_of(const std::string &program);
