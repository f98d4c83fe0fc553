// Paths of the file that this program was started from, best first.

#pragma once

#include <string>
#include <vector>

// Set by a launcher that unpacked the program: the path of the file that it was unpacked from. Children of this program
// must not inherit it.
constexpr const char *LAUNCHER_VARIABLE = "LLAMAFILE_CONTAINER";

// Removes LAUNCHER_VARIABLE from the environment.
std::vector<std::string> own_file_candidates(const std::string &argument0);

// The name of PATH, one of the candidates, in messages.
std::string display_name(const std::string &path);

// The words with which this program is started again, as it was started: arguments follow them. Empty if it cannot be.
std::vector<std::string> own_command();

// The value of LAUNCHER_VARIABLE for children that are started so; empty if they need none.
std::string own_launcher();

// The command that the system knows, for a program that a launcher has unpacked or not (own_file_SYSTEM.cpp).
std::vector<std::string> system_own_command(bool is_unpacked);

// The candidates that the system knows (own_file_SYSTEM.cpp).
std::vector<std::string> system_own_files();
