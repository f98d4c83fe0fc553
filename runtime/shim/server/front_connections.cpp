// Connections: the requests that arrive on one, and which answer is the last.

#include "server/drain.h"
#include "server/front.h"

#include <atomic>
#include <chrono>
#include <string>

namespace httplib::detail { // defined in httplib.cpp, but in no header

bool keep_alive(const std::atomic<socket_t> &server, socket_t socket, time_t timeout);
void drain_and_close_socket(socket_t socket) noexcept;

} // namespace httplib::detail

namespace {

using httplib::Request;
using httplib::Response;

// Whether the answer that this thread sent to its last request ends the connection. Each connection has one thread.
thread_local bool ends_connection = false;

void replace_connection(Response &response, const char *value) {
    response.headers.erase("Connection");
    response.set_header("Connection", value);
}

// Empty lines before a request are no part of it (RFC 9112, 2.2): some clients send one behind a body.
void skip_empty_lines(httplib::Stream &stream) {
    size_t size = 0, skipped = 0;
    const char *buffered = stream.buffered_data(size);
    while (skipped < size && (buffered[skipped] == '\r' || buffered[skipped] == '\n')) {
        ++skipped;
    }
    stream.consume_buffered(skipped);
}

} // namespace

// What httplib leaves out for clients that speak HTTP/1.0.
void Front::correct_connection(const Request &request, Response &response) {
    using httplib::detail::has_header_token;
    const bool is_old = request.version == "HTTP/1.0";
    const bool is_kept = has_header_token(request.headers, "Connection", "keep-alive");
    ends_connection =
        has_header_token(response.headers, "Connection", "close") || (is_old && !is_kept) || is_draining();
    if (ends_connection) {
        response.headers.erase("Keep-Alive");
        replace_connection(response, "close");
    } else if (is_old) {
        replace_connection(response, "keep-alive");
    }
}

// httplib's own function makes a new stream for each request. A stream reads ahead, up to 4 KiB: with it went each
// request that the client had sent before the answer to the one before (pipelining: RFC 9112, 9.3.2).
bool Front::process_and_close_socket(socket_t socket) {
    const bool result = serve_guarded([&] {
        return httplib::detail::process_client_socket(
            socket, read_timeout_sec_, read_timeout_usec_, write_timeout_sec_, write_timeout_usec_, 0, {},
            [this](httplib::Stream &stream) { return answer_requests(stream); });
    });
    httplib::detail::drain_and_close_socket(socket);
    return result;
}

// keep_alive() of httplib does not notice that the server drains: idle connections would hold it up.
bool Front::wait_for_request(socket_t socket) const {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(keep_alive_timeout_sec_);
    bool is_last_look = false; // for a request that was sent before the client can know that the server ends
    for (;;) {
        if (httplib::detail::keep_alive(svr_sock_, socket, 0)) {
            return true; // a few milliseconds
        }
        if (is_last_look || svr_sock_ == INVALID_SOCKET) {
            return false;
        }
        is_last_look = is_draining() || Clock::now() >= end;
    }
}

bool Front::answer_requests(httplib::Stream &stream) {
    std::string remote, local;
    int remote_port = 0, local_port = 0;
    stream.get_remote_ip_and_port(remote, remote_port);
    stream.get_local_ip_and_port(local, local_port);
    bool result = false;
    for (size_t left = keep_alive_max_count_; left > 0; --left) {
        skip_empty_lines(stream);
        if (!stream.is_readable() && !wait_for_request(stream.socket())) {
            break;
        }
        // What follows an error is not read: the answer says so, and where the next request begins may be unknown.
        bool is_at_end = false;
        ends_connection = false;
        const AnswerScope scope;
        result = process_request(stream, remote, remote_port, local, local_port, left == 1, is_at_end, nullptr);
        if (!result || is_at_end || ends_connection) {
            break;
        }
    }
    return result;
}
