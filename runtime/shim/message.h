// What llamafile itself says: one sentence a line, on standard error, after its name.

#pragma once

#include <string>

void complain(const std::string &sentence);
