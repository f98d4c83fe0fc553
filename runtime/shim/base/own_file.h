// Ways to name the file that a running program came from, best first.

#pragma once

#include <string>
#include <vector>

// Set by a launcher that unpacked the program: the file it came from. Not for children of
// ours.
constexpr const char *LAUNCHER_VARIABLE = "LLAMAFILE_CONTAINER";

std::vector<std::string> own_file_candidates(const char *argument0);

// What to call PATH, one of the candidates, in a message.
std::string file_name(const std::string &path);
