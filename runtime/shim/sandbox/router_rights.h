// The rights of a router (server/router.h), which its children inherit before they give up theirs: to start this very
// program, to read what the models of its list name, and to connect to its children, whose ports the system chooses.

#pragma once

#include "sandbox/confinement.h"

struct common_params;

// What these rights weaken, for the user.
constexpr const char ROUTER_WEAKNESS[] =
    "starting this program for each model, and connections, which are to its children";

// Adds them to RIGHTS.
void add_router_rights(const common_params &params, Rights &rights);
