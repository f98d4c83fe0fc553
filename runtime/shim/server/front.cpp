#include "server/front.h"

#include "base/origin.h"
#include "base/text.h"
#include "server/access.h"
#include "server/error_envelope.h"

namespace {

using httplib::Request;
using httplib::Response;

constexpr const char ALLOW_ORIGIN[] = "Access-Control-Allow-Origin";
constexpr const char ALLOW_CREDENTIALS[] = "Access-Control-Allow-Credentials";
constexpr const char ALLOW_HEADERS[] = "Access-Control-Allow-Headers";
constexpr const char MAPPED_IPV4[] = "::ffff:";

bool is_loopback_address(const std::string &address) {
    const std::string own = starts_with(address, MAPPED_IPV4) ? address.substr(sizeof MAPPED_IPV4 - 1) : address;
    return is_loopback(own.find(':') == std::string::npos ? own : "[" + own + "]");
}

Sender sender_of(const Request &request) {
    return {request.get_header_value("Origin"), request.get_header_value("Host"),
            request.get_header_value("Sec-Fetch-Site"), request.get_header_value("Sec-Fetch-Mode"),
            is_loopback_address(request.local_addr)};
}

void replace_header(Response &response, const char *name, const std::string &value) {
    response.headers.erase(name);
    if (!value.empty()) {
        response.set_header(name, value);
    }
}

// The engine allows all origins, or those that it compares itself.
void correct_headers(const Request &request, Response &response) {
    const std::string origin = access().allowed_origin(sender_of(request));
    replace_header(response, ALLOW_ORIGIN, origin);
    response.set_header("Vary", "Origin"); // or a cache gives one page the answer to another
    if (origin.empty() || origin == "*") {
        response.headers.erase(ALLOW_CREDENTIALS);
    }
    if (request.method != "OPTIONS" || origin.empty()) {
        return;
    }
    // An asterisk stands neither for Authorization nor for anything in requests with credentials.
    if (response.get_header_value(ALLOW_HEADERS) == "*" && request.has_header("Access-Control-Request-Headers")) {
        replace_header(response, ALLOW_HEADERS, request.get_header_value("Access-Control-Request-Headers"));
    }
    if (request.has_header("Access-Control-Request-Private-Network")) {
        response.set_header("Access-Control-Allow-Private-Network", "true");
    }
}

} // namespace

Front &Front::set_pre_routing_handler(const HandlerWithResponse &engine) {
    httplib::Server::set_pre_routing_handler([engine](const Request &request, Response &response) {
        const std::string refusal = access().refusal(sender_of(request));
        if (!refusal.empty()) {
            set_error(request, response, {403, refusal});
            return HandlerResponse::Handled;
        }
        const HandlerResponse result = engine(request, response);
        correct_headers(request, response);
        return result;
    });
    return *this;
}
