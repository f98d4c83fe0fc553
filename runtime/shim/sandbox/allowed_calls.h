// The system calls of Linux that the program needs, by right. All others are refused.

#pragma once

#include "sandbox/confinement.h"

#include <cstdint>
#include <vector>

// (argument & mask) == value. Only the lower half of an int is compared: the upper half of its register is undefined.
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
