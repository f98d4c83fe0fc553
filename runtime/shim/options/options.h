// The options of a command line, each with the values that belong to it.

#pragma once

#include "modes.h"
#include "options/arguments.h"

#include <map>
#include <set>
#include <string>
#include <vector>

// What the engine says of one of its options.
struct EngineOption {
    size_t values = 0;
    std::set<Mode> modes; // that have it
};

// By name, every spelling on its own.
using EngineOptions = std::map<std::string, EngineOption>;

struct Option {
    std::string name; // normalised; empty for a word that belongs to no option
    Arguments values;
    bool is_known = true;
    bool is_complete = true; // false if the line ends before its last value
};

using Options = std::vector<Option>;

// The options that stand in ARGUMENTS. What is the value of an option is never taken for another one.
Options split(const Arguments &arguments, const EngineOptions &engine);

// The last of OPTIONS that is one of NAMES; nothing if none is.
const Option *last_of(const Options &options, const std::set<std::string> &names);
