// Operations on text that C++ lacks. Upper and lower case are those of ASCII.

#pragma once

#include <string>
#include <string_view>
#include <vector>

// True if NAME is a stem of at least one byte and EXTENSION, which is lower case, in upper or lower case.
bool has_extension(std::string_view name, std::string_view extension);

std::string lower_case(std::string text);

// The parts of TEXT between the separators, at least one; parts may be empty.
std::vector<std::string> split_at(char separator, const std::string &text);

std::string join(const std::vector<std::string> &parts, std::string_view separator);

// TEXT with each control character but newline and tab as \xNN.
std::string escape_controls(std::string_view text);

// BYTES with each byte that is not printable ASCII as \xNN.
std::string escape_binary(std::string_view bytes);
