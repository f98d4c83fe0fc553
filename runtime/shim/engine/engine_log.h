// The engine's messages while it loads, kept so that a failure can be reported in one sentence.

#pragma once

#include <string>

// Routes the engine's messages through this module: to its own log, or nowhere if QUIET.
void capture_engine_log(bool quiet);

// The engine's first error message, without the function name in it; empty if there was none.
std::string first_engine_error();
