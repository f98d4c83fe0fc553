// The environment variables of this process.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> variable_names();

void remove_variable(const std::string &name);
