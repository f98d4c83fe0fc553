// What stands in front of the engine's routes: the engine registers them here (engine_http.cpp) as at any server of
// cpp-httplib, whose functions these hide.

#pragma once

#include "json.h"
#include "server/routes.h"

#include <cpp-httplib/httplib.h>

#include <map>
#include <string>

class Front : public httplib::Server {
  public:
    Front();

    // NOLINTBEGIN(bugprone-derived-method-shadowing-base-method): the engine calls ours by the names that it knows

    Front &Get(const std::string &pattern, const Handler &handler);
    Front &Post(const std::string &pattern, const Handler &handler);
    Front &Delete(const std::string &pattern, const Handler &handler);

    // Checks each request before ENGINE does, and corrects the headers that ENGINE sets.
    Front &set_pre_routing_handler(const HandlerWithResponse &engine);

    // Without effect: all errors have one form.
    Front &set_error_handler(const Handler &) { return *this; }

    // NOLINTEND(bugprone-derived-method-shadowing-base-method)

  private:
    // The handler of POST at PATTERN, which checks requests for ENGINE and corrects its answers.
    Handler checked(const std::string &pattern, const Handler &engine);

    // Registers GET for one of the models that ENGINE lists at PATTERN.
    void add_model_route(const std::string &pattern, const Handler &engine);

    static void correct_connection(const httplib::Request &request, httplib::Response &response);

    bool process_and_close_socket(socket_t socket) override;

    // Returns whether a request arrives at SOCKET before the connection has been idle for too long or the server ends.
    bool wait_for_request(socket_t socket) const;

    // Answers the requests of a connection, in their order.
    bool answer_requests(httplib::Stream &stream);

    // The answer of the engine's own route PATH to BODY, or to a GET if BODY is null (EngineCall).
    common_json call(const std::string &path, const common_json &body) const;

    Routes routes;
    std::map<std::string, Handler> getters, posters; // by path, without --api-prefix
};
