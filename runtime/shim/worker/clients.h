// How a worker serves one client after the other: clients_SYSTEM.cpp.

#pragma once

#include "rpc/tcp.h"

#include <functional>
#include <string>

// Serves a client, and returns what there is to say about it: a sentence, or nothing.
using ServeClient = std::function<std::string(const Visitor &client)>;

// False, with a message, for a visitor who may not use this worker.
using AcceptVisitor = std::function<bool(const Visitor &visitor)>;

// Accepts visitors of LISTENER for ever. If IS_APART, each is served by a process of its own, where the system has
// such: its messages cannot harm the next one, and its memory is free when it is gone.
void serve_clients(Listener &listener, bool is_apart, const AcceptVisitor &accepts, const ServeClient &serve);
