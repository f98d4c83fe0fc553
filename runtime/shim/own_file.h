// Ways to name the file that a running program came from, best first.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> own_file_candidates(const char *argument0);

// What to call PATH, one of the candidates, in a message.
std::string file_name(const std::string &path);
