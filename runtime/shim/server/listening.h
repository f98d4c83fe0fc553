// The port that the server listens on, and the addresses at which clients reach it.

#pragma once

#include <string>
#include <vector>

struct common_params;

// Removes the brackets from hosts that are written as in URLs: [::1].
void remove_brackets(common_params &params);

// Makes the Unix sockets among the hosts of PARAMS free for this server, see server/unix_socket.h. Throws UserError.
void claim_sockets(const common_params &params);

// Sets the port of PARAMS to one that is free on all hosts of PARAMS: the one there, or, unless it is FIXED by the
// user, one of the next ten. Throws UserError if none is free.
void choose_port(common_params &params, bool fixed);

// True if another program took the port of PARAMS after choose_port().
bool port_was_lost(const common_params &params);

// The URLs at which clients reach a server that listens on ADDRESS, loopback first: a browser cannot open an address
// that stands for all interfaces.
std::vector<std::string> reachable_urls(const std::string &address);

// Logs these URLs.
void announce(const std::string &address);
