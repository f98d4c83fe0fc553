// What the engine says of itself.

#pragma once

#include "options/options.h"

#include <string>
#include <vector>

// Its options in all modes, from the table it parses them with. A command line is parsed by two of its programs where
// one does not have all of a mode: completion and multimodal, chat and server.
EngineOptions engine_options();

struct Gpu {
    std::string brand;  // as --gpu has it; empty if that has no name for it
    std::string device; // as the engine's --device has it
};

std::vector<Gpu> usable_gpus();
