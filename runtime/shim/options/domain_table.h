// The table of the options that do not take any text, with the values that they take.

#pragma once

#include "base/arguments.h"

#include <cstddef>
#include <string>

// The values of some options; tools/option_table.py describes the kinds.
struct Domain {
    std::string kind;
    Arguments words;  // behind the kind, with those that are accepted only
    size_t shown = 0; // the number of words that messages show
};

// Null if the option NAME takes any text, or no value.
const Domain *domain_of(const std::string &name);
