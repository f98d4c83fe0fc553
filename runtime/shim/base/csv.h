// One line of comma-separated values, in the dialect of the engine's options for several files: a quoted field may
// contain commas, and a quote in it is doubled.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> split_csv(const std::string &line);

std::string join_csv(const std::vector<std::string> &fields);
