// What stands in front of the engine's routes: the engine registers them here (engine_http.cpp) as at any server of
// cpp-httplib, whose functions these hide.

#pragma once

#include "server/routes.h"

#include <cpp-httplib/httplib.h>

class Front : public httplib::Server {
  public:
    Front();

    // NOLINTBEGIN(bugprone-derived-method-shadowing-base-method): the engine calls ours by the names that it knows

    Front &Get(const std::string &pattern, const Handler &handler);
    Front &Post(const std::string &pattern, const Handler &handler);
    Front &Delete(const std::string &pattern, const Handler &handler);

    // Checks each request before ENGINE does, and corrects the headers that ENGINE sets.
    Front &set_pre_routing_handler(const HandlerWithResponse &engine);

    // Without effect: errors have one form, whoever finds them.
    Front &set_error_handler(const Handler &) { return *this; }

    // NOLINTEND(bugprone-derived-method-shadowing-base-method)

  private:
    Routes routes;
};
