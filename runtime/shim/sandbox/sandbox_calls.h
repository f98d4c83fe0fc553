// The system calls that the program needs, each with the right it belongs to. What is not here is refused.

#pragma once

#ifdef __linux__

#include "sandbox/sandbox_rights.h"

#include <cstdint>
#include <vector>

// (argument & mask) == value. An int is compared in its lower half: the upper half of its register may hold anything.
struct Condition {
    unsigned argument;
    uint64_t mask;
    uint64_t value;
};

// A call is allowed if all conditions of one of its entries hold.
struct AllowedCall {
    unsigned number;
    std::vector<Condition> conditions;
};

std::vector<AllowedCall> allowed_calls(const Rights &rights);

#endif
