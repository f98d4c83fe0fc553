// The environment variables of this process.

#pragma once

#include <string>
#include <vector>

std::vector<std::string> variable_names();

// Its value; empty if there is no such variable.
std::string variable(const std::string &name);

void set_variable(const std::string &name, const std::string &value);

void remove_variable(const std::string &name);
