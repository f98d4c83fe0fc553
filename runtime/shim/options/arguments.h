// Command lines, and the default arguments that a container carries in its member `.args`.

#pragma once

#include <string>
#include <vector>

using Arguments = std::vector<std::string>;

// The arguments that the program was started with, without its name. In UTF-8: Windows' main() has them in a code page.
Arguments command_line(int argc, char **argv);

// The same for a function like main(): pointers to ARGUMENTS, which must outlive them, and a null pointer.
std::vector<char *> pointers_to(const Arguments &arguments);

// One argument a line; CR and LF end lines, empty lines count for nothing, `\n` inside a line is a newline. A byte
// order mark before the first line belongs to no argument.
Arguments parse_lines(const std::string &text);

// DEFAULTS with USER where the line `...` stands, or after them where none does.
Arguments merge(const Arguments &defaults, const Arguments &user);

// OPTION as tables have it: `_` is `-` in long options.
std::string normalised(std::string option);

// True if one of ARGUMENTS is one of NAMES, as normalised() has them.
bool has_option(const Arguments &arguments, const std::vector<std::string> &names);
