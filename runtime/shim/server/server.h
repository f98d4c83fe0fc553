// Server mode, and the preparation of a server in all modes that have one.

#pragma once

#include "base/arguments.h"

struct common_params;

// Serves the engine's HTTP API until it is interrupted. ARGUMENTS are the engine's, with the program's name first.
// Returns the exit status.
int run_server(const Arguments &arguments);

// Completes PARAMS, and checks what the engine would check late or not at all: the model can be loaded and the port is
// free. Throws UserError otherwise.
void prepare_server(common_params &params, const Arguments &arguments);
