// The start of the program: from its command line to the function that runs.

#pragma once

#include "base/arguments.h"
#include "base/mode.h"
#include "options/translation.h"
#include "tools.h"

#include <string>

struct Launch {
    enum class Action {
        PRINT_USAGE,
        PRINT_VERSION,
        PRINT_GPUS,
        PRINT_GPUS_AS_JSON,
        EXPLAIN_MISSING_MODEL,
        RUN_TOOL,
        RUN_MODE
    };

    Action action;
    Arguments arguments; // of the tool or the engine, with the program's name first
    Mode mode = Mode::SERVER;
    Tool tool = nullptr;
    LaunchOptions options{};
    std::vector<Gpu> gpus{}; // that it computes with
};

// Selects the launch for a program started as ARGUMENT0 with the arguments USER: finds the program's container, seals
// the process if it must be, and logs remarks on options. Throws UserError for invalid options.
Launch prepare(const std::string &argument0, const Arguments &user);

// Runs LAUNCH. Returns the exit status.
int start(const Launch &launch);
