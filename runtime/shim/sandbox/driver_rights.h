// The rights that the driver of a GPU needs in this process: it maps code, controls devices, and keeps what it
// compiles.

#pragma once

#include "sandbox/confinement.h"

// What these rights weaken, for the user.
constexpr const char DRIVER_WEAKNESS[] = "the driver of the GPU may map code, read the system's libraries, control the"
                                         " GPU's devices and write in its cache";

// Adds them to RIGHTS, and creates the folders of drivers' caches, which cannot be created later.
void add_driver_rights(Rights &rights);
