// Chat mode.

#pragma once

#include "base/arguments.h"

// Runs a chat in the terminal, with the HTTP API beside it. ARGUMENTS are the engine's, with the program's name first.
// Returns the exit status.
int run_chat(const Arguments &arguments);
