// The sandbox: the process gives up rights before it reads a model, which is untrusted input, and again before it
// answers requests.
//
// Before a model is opened: no other programs, no connections, and only the files that the options name. Before a
// server answers: no files at all, and only connections that clients open. An option that needs another right keeps
// this right; an option that cannot work in a sandbox turns it off, with a message that names the option.

#pragma once

#include "base/mode.h"

struct common_params;

// For --unsecure.
void disable_sandbox();

// True after disable_sandbox().
bool is_sandbox_unwanted();

// Must be called when the options are parsed and the only other thread is that of the engine's log. A second call has
// no effect.
void confine_before_model(const common_params &params, Mode mode);

// Must be called before the server answers; confines running threads too.
void confine_serving();
