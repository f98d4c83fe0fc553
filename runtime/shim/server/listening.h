// Where the server listens: which port it takes, and what its user is told of it.

#pragma once

#include <string>
#include <vector>

struct common_params;

// Finds a port for all hosts of PARAMS. If the one there is taken, the next ten will do, unless it is FIXED: chosen by
// the user. False if none will; PROBLEM says why and what to do.
bool settle_port(common_params &params, bool fixed, std::string &problem);

// True if another program took the port of PARAMS after it was settled.
bool port_was_lost(const common_params &params);

// The URLs at which a server that listens on ADDRESS is reached, this machine's own first: an address that stands for
// all interfaces is none that a browser could open.
std::vector<std::string> reachable_urls(const std::string &address);

// Tells the user where the server is.
void announce(const std::string &address);
