// Command lines, and the default arguments that a container carries in its member `.args`.

#pragma once

#include <string>
#include <vector>

using Arguments = std::vector<std::string>;

// The arguments that the program was started with, without its name. In UTF-8: Windows' main() has them in a code page.
Arguments command_line(int argc, char **argv);

// One argument a line; CR and LF end lines, empty lines count for nothing, `\n` inside a line is a newline.
Arguments parse_lines(const std::string &text);

// DEFAULTS with USER where the line `...` stands, or after them where none does.
Arguments merge(const Arguments &defaults, const Arguments &user);

// True if one of ARGUMENTS is one of NAMES; `_` and `-` are the same in long options, as the engine has it.
bool has_option(const Arguments &arguments, const std::vector<std::string> &names);

// The one of NAMES that stands last in ARGUMENTS; empty if none does.
std::string last_of(const Arguments &arguments, const std::vector<std::string> &names);

// ARGUMENTS without those that are one of NAMES (options without a value).
Arguments without(const Arguments &arguments, const std::vector<std::string> &names);
