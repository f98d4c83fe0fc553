#include "server/front.h"

#include "base/origin.h"
#include "base/text.h"
#include "rpc/lost_worker.h"
#include "server/access.h"
#include "server/drain.h"
#include "server/error_envelope.h"
#include "server/router.h"
#include "server/session.h"

namespace {

using httplib::Request;
using httplib::Response;

constexpr const char ALLOW_ORIGIN[] = "Access-Control-Allow-Origin";
constexpr const char ALLOW_CREDENTIALS[] = "Access-Control-Allow-Credentials";
constexpr const char ALLOW_HEADERS[] = "Access-Control-Allow-Headers";
constexpr const char RETRY_AFTER[] = "1"; // seconds: another replica, or the next start of this server, may answer then
constexpr const char MAPPED_IPV4[] = "::ffff:";

bool is_loopback_address(const std::string &address) {
    const std::string own = address.starts_with(MAPPED_IPV4) ? address.substr(sizeof MAPPED_IPV4 - 1) : address;
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

void refuse_while_draining(const Request &request, Response &response) {
    set_error(
        request, response,
        {503, "the server is shutting down: it finishes the answers that are running, and takes no new requests"});
    response.set_header("Retry-After", RETRY_AFTER);
    response.set_header("Connection", "close");
    correct_headers(request, response);
}

// Media types of a body that is JSON: some clients leave out the type, or have another default.
bool is_json(const std::string &media_type) {
    return media_type.empty() || media_type == "application/json" || media_type.ends_with("+json") ||
           media_type == "application/x-www-form-urlencoded" || media_type == "text/plain";
}

// Why the body of REQUEST has the wrong media type; empty if it has not.
std::string media_type_refusal(const Request &request) {
    const std::string value = request.get_header_value("Content-Type");
    const std::string media_type = lower_case(value.substr(0, value.find_first_of("; ")));
    const bool takes_forms = request.path.ends_with("/audio/transcriptions");
    const bool is_good = takes_forms ? media_type == "multipart/form-data" : is_json(media_type);
    if (request.method != "POST" || is_good) {
        return {};
    }
    return "the body has the media type '" + escape_controls(media_type) + "'; this path takes " +
           (takes_forms ? "multipart/form-data" : "application/json");
}

// The engine ends a complete stream like one that it interrupts, and httplib would end the connection with it. HTTP/1.0
// has no chunks: there, the end of the connection is the end of the content.
void correct_stream(const Request &request, Response &response) {
    if (!response.is_chunked_content_provider_) {
        return;
    }
    const bool has_chunks = request.version != "HTTP/1.0";
    response.content_provider_ = [engine = std::move(response.content_provider_),
                                  has_chunks](size_t offset, size_t length, httplib::DataSink &sink) {
        bool is_at_end = false;
        const std::function<void()> done = std::move(sink.done);
        sink.done = [&] { is_at_end = true; };
        const bool result = engine(offset, length, sink);
        if (const std::string loss = is_at_end ? lost_worker() : ""; !loss.empty()) {
            const common_json error = {{"error", {{"code", 503}, {"message", loss}, {"type", "unavailable_error"}}}};
            const std::string event = "data: " + error.dump_safe() + "\n\n";
            sink.write(event.data(), event.size());
        }
        sink.done = done;
        if (is_at_end && has_chunks) {
            done();
        }
        return is_at_end ? has_chunks : result; // a provider that fails ends the connection
    };
    response.is_chunked_content_provider_ = has_chunks;
    if (!has_chunks) {
        response.set_header("Connection", "close");
    }
}

httplib::Server::Handler in_front_of(const httplib::Server::Handler &engine) {
    // The analyzer does not see that std::function deletes its copy of another one.
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks)
    return [engine](const Request &request, Response &response) {
        // To the engine, a request that cannot be answered any more is one whose client is gone. The request is one of
        // process_request(), which is not constant there.
        const_cast<Request &>(request).is_connection_closed = [is_closed = request.is_connection_closed] {
            return is_closed() || !lost_worker().empty();
        };
        engine(request, response);
        if (session().is_router) {
            replace_header(response, "Vary", "Origin"); // children set it too
        }
        if (const std::string loss = lost_worker(); !loss.empty() && !response.content_provider_) {
            set_error(request, response, {503, loss});
        }
        correct_stream(request, response);
    };
}

httplib::Server::Handler without_command_lines(const httplib::Server::Handler &engine) {
    return [engine](const Request &request, Response &response) {
        engine(request, response);
        if (session().is_router) {
            hide_command_lines(response);
        }
    };
}

// PATTERN without the path of --api-prefix.
std::string without_prefix(const std::string &pattern) {
    const std::string prefix = session().page_path.substr(0, session().page_path.size() - 1);
    return pattern.starts_with(prefix) ? pattern.substr(prefix.size()) : pattern;
}

} // namespace

Front::Front() {
    httplib::Server::set_error_handler(Handler([this](const Request &request, Response &response) {
        if (response.content_provider_) {
            return;
        }
        const std::string methods =
            response.status == 404 && response.body.empty() ? routes.allowed_methods(request.path, request.method) : "";
        if (!methods.empty()) {
            response.set_header("Allow", methods);
            set_error(request, response,
                      {405, "'" + request.path + "' has no method " + request.method + ", but " + methods});
        } else if (response.status == 404 && response.body.empty()) {
            set_error(request, response, {404, "there is no '" + request.path + "' at this server"});
        } else {
            correct_error(request, response);
        }
    }));
    set_post_routing_handler(correct_connection);
}

Front &Front::Get(const std::string &pattern, const Handler &handler) {
    routes.add("GET", pattern);
    getters[without_prefix(pattern)] = handler;
    const Handler shown = pattern.ends_with("/models") ? without_command_lines(handler) : handler;
    httplib::Server::Get(pattern, in_front_of(shown));
    if (pattern.ends_with("/v1/models")) {
        add_model_route(pattern, shown);
    }
    return *this;
}

Front &Front::Post(const std::string &pattern, const Handler &handler) {
    routes.add("POST", pattern);
    posters[without_prefix(pattern)] = handler;
    httplib::Server::Post(pattern, in_front_of(checked(pattern, handler)));
    return *this;
}

Front &Front::Delete(const std::string &pattern, const Handler &handler) {
    routes.add("DELETE", pattern);
    httplib::Server::Delete(pattern, in_front_of(handler));
    return *this;
}

Front &Front::set_pre_routing_handler(const HandlerWithResponse &engine) {
    httplib::Server::set_pre_routing_handler([engine](const Request &request, Response &response) {
        const std::string refusal = access().refusal(sender_of(request));
        if (!refusal.empty()) {
            set_error(request, response, {403, refusal});
            return HandlerResponse::Handled;
        }
        if (request.method != "OPTIONS" && !admit_request(request.path)) {
            refuse_while_draining(request, response);
            return HandlerResponse::Handled;
        }
        const std::string unsupported = media_type_refusal(request);
        if (!unsupported.empty()) {
            set_error(request, response, {415, unsupported});
            return HandlerResponse::Handled;
        }
        const HandlerResponse result = engine(request, response);
        correct_headers(request, response);
        if (session().is_router && result == HandlerResponse::Unhandled) {
            address_to_child(const_cast<Request &>(request)); // of process_request(), which is not constant there
        }
        return result;
    });
    return *this;
}
