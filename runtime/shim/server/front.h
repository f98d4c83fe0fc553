// What stands in front of the engine's routes: the engine registers them here (engine_http.cpp) as at any server of
// cpp-httplib, whose functions these hide.

#pragma once

#include <cpp-httplib/httplib.h>

class Front : public httplib::Server {
  public:
    // NOLINTBEGIN(bugprone-derived-method-shadowing-base-method): the engine calls ours by the names that it knows

    // Checks each request before ENGINE does, and corrects the headers that ENGINE sets.
    Front &set_pre_routing_handler(const HandlerWithResponse &engine);

    // NOLINTEND(bugprone-derived-method-shadowing-base-method)
};
