// The ways a llamafile works. Each takes a whole command line, mode flags removed, and returns the exit status.

#pragma once

#include "arguments.h"

// Continues a prompt on standard output: the prompt, the text, a newline, nothing else.
int run_completion(const Arguments &arguments);

// Serves the engine's HTTP API until it is interrupted.
int run_server(const Arguments &arguments);
