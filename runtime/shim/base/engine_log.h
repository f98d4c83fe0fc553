// What the engine says while it loads, kept so that a failure can be told in one sentence.

#pragma once

#include <string>

// From now on the engine's messages pass through here: on to its own log, or nowhere if QUIET.
void listen_to_engine(bool quiet);

// The first error the engine reported, without the function it names; empty if there was none.
std::string first_engine_error();
