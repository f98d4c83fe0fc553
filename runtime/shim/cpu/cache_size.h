// The caches of the processor.

#pragma once

#include <cstdint>

// The size of the largest cache in bytes; 0 if the processor does not say.
uint64_t largest_cache();
