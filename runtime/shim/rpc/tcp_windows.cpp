#include "rpc/tcp_system.h"

#include <algorithm>
#include <mstcpip.h>
#include <system_error>

namespace {

constexpr DWORD MILLISECONDS = 1000;
constexpr DWORD PAUSE = SILENCE_SECONDS * MILLISECONDS / 11; // Windows asks ten times

} // namespace

namespace tcp {

void start() {
    static const bool is_started = [] {
        WSADATA data;
        return WSAStartup(MAKEWORD(2, 2), &data) == 0;
    }();
    if (!is_started) {
        throw NetworkError("this system's network cannot be used");
    }
}

void close(SocketHandle socket) {
    closesocket(native(socket));
}

void set_blocking(SocketHandle socket, bool is_blocking) {
    u_long mode = is_blocking ? 0 : 1;
    ioctlsocket(native(socket), static_cast<long>(FIONBIO), &mode);
}

std::ptrdiff_t write(SocketHandle socket, const char *bytes, size_t size) {
    return send(native(socket), bytes, static_cast<int>(size), 0);
}

std::ptrdiff_t read(SocketHandle socket, char *bytes, size_t size) {
    return recv(native(socket), bytes, static_cast<int>(size), 0);
}

bool wait_writable(SocketHandle socket, int seconds) {
    WSAPOLLFD waiting{};
    waiting.fd = native(socket);
    waiting.events = POLLWRNORM;
    return WSAPoll(&waiting, 1, seconds * static_cast<int>(MILLISECONDS)) > 0;
}

void limit_waiting(SocketHandle socket, int seconds) {
    const DWORD limit = static_cast<DWORD>(seconds) * MILLISECONDS;
    setsockopt(native(socket), SOL_SOCKET, SO_RCVTIMEO, reinterpret_cast<const char *>(&limit), sizeof limit);
}

void watch_peer(SocketHandle socket) {
    tcp_keepalive settings{};
    settings.onoff = 1;
    settings.keepalivetime = PAUSE;
    settings.keepaliveinterval = PAUSE;
    DWORD size = 0;
    WSAIoctl(native(socket), SIO_KEEPALIVE_VALS, &settings, sizeof settings, nullptr, 0, &size, nullptr, nullptr);
}

int last_error() {
    return WSAGetLastError();
}

bool is_interruption(int error) {
    return error == WSAEINTR;
}

bool is_in_progress(int error) {
    return error == WSAEWOULDBLOCK;
}

bool means_gone_visitor(int error) {
    return error == WSAECONNRESET;
}

std::string text_of(int error) {
    return error == WSAETIMEDOUT || error == WSAEWOULDBLOCK ? "it does not answer"
                                                            : std::system_category().message(error);
}

} // namespace tcp
