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
