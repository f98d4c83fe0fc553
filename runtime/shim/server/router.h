// The router: a server of several models. It answers no request itself, but starts a child, a server of this same
// program, for each model that is asked for, and passes requests and answers on. The engine decides when children start
// and end (tools/server/server-models.cpp), and asks here for all that a llamafile has in another way: how this program
// is started, its archive, its messages, and the memory of the machine (hooks/hooks.h).

#pragma once

#include <cpp-httplib/httplib.h>

struct common_params;

// True if PARAMS name no model, but a place with several, or none at all.
bool is_router(const common_params &params);

// Makes REQUEST, which the router has accepted, one that a child accepts: a child wants the router's own key, and minds
// neither the client's nor the page that it comes from.
void address_to_child(httplib::Request &request);

// Removes from RESPONSE, a list of models, the command lines of children: they show where the files of this machine
// lie.
void hide_command_lines(httplib::Response &response);
