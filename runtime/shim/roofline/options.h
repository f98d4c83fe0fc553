// The command line of `llamafile-bench --roofline`.

#pragma once

#include "base/arguments.h"

#include <vector>

constexpr const char ROOFLINE_OPTION[] = "--roofline";

struct RooflineOptions {
    std::vector<int> threads; // ascending, at least one
    bool is_json = false;
};

// ARGUMENTS are those behind the program's name. Throws UserError if one of them is unknown or has an impossible value.
RooflineOptions parse_roofline_options(const Arguments &arguments);
