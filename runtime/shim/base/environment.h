// The environment variables of this process.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> variable_names();

void set_variable(const std::string &name, const std::string &value);

void remove_variable(const std::string &name);
