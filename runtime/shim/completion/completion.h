// Completion mode.

#pragma once

#include "base/arguments.h"

// Continues a prompt on standard output: prints the prompt, the text and a newline, nothing else. ARGUMENTS are the
// engine's, with the program's name first. Returns the exit status.
int run_completion(const Arguments &arguments);
