// What the program gives up: before it reads a model, which somebody else made, and once it answers strangers.
//
// Before a model is opened: no other programs, no connections, no files but those that the options name. Once a server
// answers: no files at all, and nothing of the network but connections that others make. An option that needs more
// keeps just that; one that cannot work inside turns the sandbox off, and it is said which.

#pragma once

#include "modes.h"

struct common_params;

// For --unsecure: nothing is given up.
void stay_unconfined();

// To be called when the options are parsed and the program has no threads but the engine's log. A second call changes
// nothing.
void confine_before_model(const common_params &params, Mode mode);

// To be called when the server answers; threads that run already are confined too.
void confine_serving();
