// llamafile-rpc-server: a host that computes a part of a model for a llamafile on another one.

#pragma once

// Its main(), for tools.cpp. The program's container must be known. Throws UserError.
int run_worker(int argc, char **argv);
