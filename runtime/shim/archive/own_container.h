// The container of this program.

#pragma once

#include "archive/container.h"

#include <memory>
#include <string>

// Finds it: the path that a launcher gives, else that of the system, else ARGUMENT0. If this file contains neither
// weights nor arguments, its companion is the container (companion.h). main() calls this once, before own_container().
void find_own_container(const std::string &argument0);

// Without file or members if there is none.
std::shared_ptr<const Container> own_container();

// The container with the members that belong to the program, such as its pages: that of the program's own file, where
// own_container() is a companion. A companion may be without them, or have those of another version.
std::shared_ptr<const Container> program_container();
