// Hosts that compute a part of the model: each runs llamafile-rpc-server.

#pragma once

#include <string>

// Connects to all of LIST, and makes their devices the engine's; tries again for SECONDS where there is no worker yet.
// Must be called before the sandbox, which allows no further connections. Throws UserError.
void connect_workers(const std::string &list, int seconds);

// Lets the engine's tools, which have an option of their own for workers, connect to them.
void register_rpc_backend();

// Has the threads that talk with workers call CONFINE, each once: they run already when the process gives up rights.
void confine_worker_threads(void (*confine)());
