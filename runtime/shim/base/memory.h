// The memory of this machine.

#pragma once

#include <cstdint>

// The number of bytes that processes can have without others losing theirs; the largest number if the system does not
// say (memory_SYSTEM.cpp).
uint64_t available_memory();
