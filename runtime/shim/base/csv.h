// Rows of values between commas, as the engine's options for several files take them: a value in quotes may have commas
// in it, and a quote is doubled there.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> split_row(const std::string &row);

std::string join_row(const std::vector<std::string> &fields);
