#include "rpc/tcp_system.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

constexpr int MILLISECONDS = 1000;
[[maybe_unused]] constexpr int QUESTIONS = 3; // to a silent peer
[[maybe_unused]] constexpr int PAUSE_SECONDS = SILENCE_SECONDS / (QUESTIONS + 1);

[[maybe_unused]] void set_number(int socket, int option, int value) {
    setsockopt(socket, IPPROTO_TCP, option, &value, sizeof value);
}

} // namespace

namespace tcp {

void start() {
    std::signal(SIGPIPE, SIG_IGN);
}

void close(SocketHandle socket) {
    ::close(native(socket));
}

void set_blocking(SocketHandle socket, bool is_blocking) {
    const int flags = fcntl(native(socket), F_GETFL);
    fcntl(native(socket), F_SETFL, is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

// Not send() and recv(): the sandbox lets these two calls pass in all modes.
std::ptrdiff_t write(SocketHandle socket, const char *bytes, size_t size) {
    return ::write(native(socket), bytes, size);
}

std::ptrdiff_t read(SocketHandle socket, char *bytes, size_t size) {
    return ::read(native(socket), bytes, size);
}

bool wait_writable(SocketHandle socket, int seconds) {
    pollfd waiting = {native(socket), POLLOUT, 0};
    return poll(&waiting, 1, seconds * MILLISECONDS) > 0;
}

void limit_waiting(SocketHandle socket, int seconds) {
    timeval limit{};
    limit.tv_sec = seconds;
    setsockopt(native(socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

void watch_peer(SocketHandle socket) {
    [[maybe_unused]] const int descriptor = native(socket);
#ifdef TCP_KEEPIDLE
    set_number(descriptor, TCP_KEEPIDLE, PAUSE_SECONDS);
#elif defined(TCP_KEEPALIVE)
    set_number(descriptor, TCP_KEEPALIVE, PAUSE_SECONDS); // of macOS
#endif
#ifdef TCP_KEEPINTVL
    set_number(descriptor, TCP_KEEPINTVL, PAUSE_SECONDS);
    set_number(descriptor, TCP_KEEPCNT, QUESTIONS);
#endif
#ifdef TCP_USER_TIMEOUT // for bytes that are on their way; keepalive is for idle connections
    set_number(descriptor, TCP_USER_TIMEOUT, SILENCE_SECONDS * MILLISECONDS);
#endif
}

int last_error() {
    return errno;
}

bool is_interruption(int error) {
    return error == EINTR;
}

bool is_in_progress(int error) {
    return error == EINPROGRESS;
}

bool means_gone_visitor(int error) {
    return error == ECONNABORTED || error == EINTR || error == EAGAIN;
}

std::string text_of(int error) {
    if (error == EPIPE) {
        return "it closed the connection";
    }
    return error == EAGAIN || error == EWOULDBLOCK ? "it does not answer" : std::strerror(error);
}

} // namespace tcp
