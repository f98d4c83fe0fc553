// Llamafile's options: its own, and those of older llamafiles that the engine has under another name, in another form,
// or no longer.

#pragma once

#include "options/options.h"

#include <string>
#include <vector>

class Translator;

struct Flag {
    std::vector<std::string> names;
    size_t (*value_count)(const Arguments &rest); // the number of values among REST, the arguments after the flag
    void (*translate)(Translator &to, const Flag &flag, const Option &option);
    std::string engine; // the engine's option that it becomes, if it becomes one
    std::string note;   // why it has no effect, if it has none

    // True if it is the engine's option under another name.
    bool is_other_name() const;
};

const std::vector<Flag> &all_flags();

// Null if there is no flag NAME.
const Flag *find_flag(const std::string &name);
