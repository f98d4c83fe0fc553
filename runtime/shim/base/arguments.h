// Command lines, and the default arguments in a container's member `.args`.

#pragma once

#include <string>
#include <vector>

using Arguments = std::vector<std::string>;

// The arguments of this process in UTF-8, without the program's name: Windows gives main() another code page.
Arguments command_line(int argc, char **argv);

// ARGUMENTS in the form of main()'s: pointers into ARGUMENTS, which must outlive them, and a null pointer.
std::vector<char *> pointers_to(const Arguments &arguments);

// One argument a line. CR and LF end lines, empty lines are ignored, `\n` inside a line is a newline. A byte order mark
// before the first line is ignored.
Arguments parse_lines(const std::string &text);

// DEFAULTS with USER in place of the line `...`, or after them if there is no such line.
Arguments merge(const Arguments &defaults, const Arguments &user);

// OPTION as tables spell it: with `-` for `_` in long options.
std::string normalised(std::string option);

// True if one of ARGUMENTS is one of NAMES, which are normalised.
bool has_option(const Arguments &arguments, const std::vector<std::string> &names);
