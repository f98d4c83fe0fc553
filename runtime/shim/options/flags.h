// The options that llamafile has beside the engine's: its own, and those that older llamafiles had and the engine has
// under another name, in another form, or no longer.

#pragma once

#include "options/options.h"

#include <string>
#include <vector>

class Translator;

struct Flag {
    std::vector<std::string> names;
    size_t (*values)(const Arguments &rest); // how many of REST, what follows the flag, belong to it
    void (*translate)(Translator &to, const Flag &flag, const Option &option);
    std::string engine; // the engine's option, if the flag becomes one
    std::string note;   // why it has no effect, if it has none

    // True if it is the engine's option under another name.
    bool is_other_name() const;
};

const std::vector<Flag> &all_flags();

// The flag of that name; nothing if there is none.
const Flag *find_flag(const std::string &name);
