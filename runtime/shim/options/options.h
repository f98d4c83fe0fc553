// The options of a command line, each with its values.

#pragma once

#include "base/arguments.h"
#include "engine/engine_options.h"

#include <set>
#include <string>
#include <vector>

struct Option {
    std::string name; // normalised; empty for a word that is not the value of an option
    Arguments values;
    bool is_known = true;
    bool is_complete = true; // false if the command line ends before the last value
};

using Options = std::vector<Option>;

// Splits ARGUMENTS into options. The value of an option is never taken for another option.
Options split(const Arguments &arguments, const EngineOptions &engine);

// The last of OPTIONS whose name is in NAMES; null if there is none.
const Option *last_of(const Options &options, const std::set<std::string> &names);
