// The ways a llamafile works. Each takes a command line of the engine's, the program's name first, and returns the exit
// status.

#pragma once

#include "options/arguments.h"

enum class Mode { COMPLETION, SERVER, CHAT };

// Continues a prompt on standard output: the prompt, the text, a newline, nothing else.
int run_completion(const Arguments &arguments);

// Serves the engine's HTTP API until it is interrupted.
int run_server(const Arguments &arguments);

// Talks in the terminal, and serves the HTTP API beside it.
int run_chat(const Arguments &arguments);
