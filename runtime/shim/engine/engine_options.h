// The engine's table of options.

#pragma once

#include "base/mode.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>

struct EngineOption {
    size_t value_count = 0;
    std::set<Mode> modes; // those that have this option
};

// By name; each spelling has its own entry.
using EngineOptions = std::map<std::string, EngineOption>;

// The options of all modes, from the engine's own table. Two of the engine's programs parse a command line if one does
// not have all options of a mode: completion and multimodal, chat and server.
EngineOptions engine_options();

// Why the engine refuses VALUE as that of its option NAME in MODE, in its words; empty if it accepts it. Calls the
// option's function, which must open no file.
std::string engine_refusal(const std::string &name, const std::string &value, Mode mode);
