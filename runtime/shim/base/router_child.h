// A child of a router: a process that serves one of several models, started by the process that serves all of them
// (server/router.h).

#pragma once

#include <string>

// Set for children: the key that the router sends with each request. Others of the same machine do not know it.
constexpr const char *CHILD_VARIABLE = "LLAMAFILE_ROUTER_KEY";

// True if this process is a child of a router.
bool is_router_child();

// The value of CHILD_VARIABLE; empty if there is none.
std::string router_key();
