// What the checks of requests need to know of the model.

#pragma once

#include <cstdint>

struct ModelFacts {
    bool knows_tools = true;     // its chat template shows tools to it
    int64_t vocabulary_size = 0; // in tokens; 0 if unknown
};
