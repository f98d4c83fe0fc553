// The size of weights.

#pragma once

#include <cstdint>
#include <string>

// The bytes of the model NAME, a file or a member, with all shards; 0 if there is none.
uint64_t weights_size(const std::string &name);
