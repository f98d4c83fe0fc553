#include "rpc/tcp.h"

#include "rpc/tcp_system.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace {

constexpr int BACKLOG = 16;
constexpr unsigned char MAPPED_IPV4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr size_t CHUNK = size_t{1} << 30; // of one call: some systems take no more

[[noreturn]] void fail_with_last_error() {
    throw NetworkError(tcp::text_of(tcp::last_error()));
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses addresses_of(const std::string &host, int port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo *found = nullptr;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0 || found == nullptr) {
        throw NetworkError("the name '" + host + "' is not known here");
    }
    return {found, freeaddrinfo};
}

Connection socket_for(const addrinfo &address) {
    Connection made(static_cast<SocketHandle>(socket(address.ai_family, address.ai_socktype, address.ai_protocol)));
    if (made.socket() == NO_SOCKET) {
        fail_with_last_error();
    }
    return made;
}

void set_flag(SocketHandle socket, int level, int option) {
    const int yes = 1;
    setsockopt(native(socket), level, option, reinterpret_cast<const char *>(&yes), sizeof yes);
}

int pending_error(SocketHandle socket) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(native(socket), SOL_SOCKET, SO_ERROR, reinterpret_cast<char *>(&error), &size);
    return error;
}

Connection connect_to(const addrinfo &address, int seconds) {
    Connection made = socket_for(address);
    tcp::set_blocking(made.socket(), false);
    if (connect(native(made.socket()), address.ai_addr, static_cast<socklen_t>(address.ai_addrlen)) != 0) {
        if (!tcp::is_in_progress(tcp::last_error())) {
            fail_with_last_error();
        }
        if (!tcp::wait_writable(made.socket(), seconds)) {
            throw NetworkError("no answer within " + std::to_string(seconds) + " seconds");
        }
        if (const int error = pending_error(made.socket())) {
            throw NetworkError(tcp::text_of(error));
        }
    }
    tcp::set_blocking(made.socket(), true);
    return made;
}

Address address_of(const sockaddr_storage &storage) {
    Address address{};
    if (storage.ss_family == AF_INET6) {
        std::memcpy(address.bytes, &reinterpret_cast<const sockaddr_in6 &>(storage).sin6_addr, sizeof address.bytes);
    } else {
        std::memcpy(address.bytes, MAPPED_IPV4, sizeof MAPPED_IPV4);
        std::memcpy(address.bytes + sizeof MAPPED_IPV4, &reinterpret_cast<const sockaddr_in &>(storage).sin_addr, 4);
    }
    return address;
}

std::string name_of(const sockaddr_storage &storage, socklen_t size) {
    char host[NI_MAXHOST] = "";
    char port[NI_MAXSERV] = "";
    getnameinfo(reinterpret_cast<const sockaddr *>(&storage), size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    return std::string(host) + " port " + port;
}

} // namespace

Connection &Connection::operator=(Connection &&other) noexcept {
    if (this != &other) {
        close();
        handle = other.handle;
        other.handle = NO_SOCKET;
    }
    return *this;
}

void Connection::close() {
    if (handle != NO_SOCKET) {
        tcp::close(handle);
        handle = NO_SOCKET;
    }
}

Connection Connection::to(const std::string &host, int port, int seconds) {
    tcp::start();
    const Addresses addresses = addresses_of(host, port, 0);
    std::string reason;
    for (const addrinfo *address = addresses.get(); address != nullptr; address = address->ai_next) {
        try {
            Connection made = connect_to(*address, seconds);
            set_flag(made.socket(), IPPROTO_TCP, TCP_NODELAY);
            return made;
        } catch (const NetworkError &error) {
            reason = error.what();
        }
    }
    throw NetworkError(reason);
}

void Connection::send(const void *bytes, size_t size) const {
    const auto *at = static_cast<const char *>(bytes);
    while (size > 0) {
        const std::ptrdiff_t sent = tcp::write(handle, at, std::min(size, CHUNK));
        if (sent < 0 && tcp::is_interruption(tcp::last_error())) {
            continue;
        }
        if (sent <= 0) {
            fail_with_last_error();
        }
        at += sent;
        size -= static_cast<size_t>(sent);
    }
}

size_t Connection::receive_some(char *bytes, size_t size) const {
    for (;;) {
        const std::ptrdiff_t received = tcp::read(handle, bytes, std::min(size, CHUNK));
        if (received >= 0) {
            return static_cast<size_t>(received);
        }
        if (!tcp::is_interruption(tcp::last_error())) {
            fail_with_last_error();
        }
    }
}

bool Connection::receive_or_end(void *bytes, size_t size) const {
    auto *at = static_cast<char *>(bytes);
    size_t done = 0;
    while (done < size) {
        const size_t received = receive_some(at + done, size - done);
        if (received == 0 && done == 0) {
            return false;
        }
        if (received == 0) {
            throw NetworkError("it closed the connection");
        }
        done += received;
    }
    return true;
}

void Connection::receive(void *bytes, size_t size) const {
    if (!receive_or_end(bytes, size)) {
        throw NetworkError("it closed the connection");
    }
}

void Connection::limit_waiting(int seconds) const {
    tcp::limit_waiting(handle, seconds);
}

void Connection::watch_peer() const {
    set_flag(handle, SOL_SOCKET, SO_KEEPALIVE);
    tcp::watch_peer(handle);
}

std::optional<Address> parse_address(const std::string &text) {
    Address address{};
    if (inet_pton(AF_INET6, text.c_str(), address.bytes) == 1) {
        return address;
    }
    std::memcpy(address.bytes, MAPPED_IPV4, sizeof MAPPED_IPV4);
    if (inet_pton(AF_INET, text.c_str(), address.bytes + sizeof MAPPED_IPV4) == 1) {
        return address;
    }
    return std::nullopt;
}

bool is_loopback_address(const Address &address) {
    constexpr Address IPV6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    const bool is_mapped = std::memcmp(address.bytes, MAPPED_IPV4, sizeof MAPPED_IPV4) == 0;
    return (is_mapped && address.bytes[sizeof MAPPED_IPV4] == 127) ||
           std::memcmp(address.bytes, IPV6.bytes, sizeof IPV6.bytes) == 0;
}

Listener::Listener(const std::string &host, int port) {
    tcp::start();
    const Addresses addresses = addresses_of(host, port, AI_PASSIVE);
    Connection made = socket_for(*addresses);
    const SocketHandle handle = made.socket();
#ifndef _WIN32 // where it would let two programs share the port
    set_flag(handle, SOL_SOCKET, SO_REUSEADDR);
#endif
    if (bind(native(handle), addresses->ai_addr, static_cast<socklen_t>(addresses->ai_addrlen)) != 0 ||
        listen(native(handle), BACKLOG) != 0) {
        fail_with_last_error();
    }
    own = std::move(made);
}

std::optional<Visitor> Listener::accept() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    Connection accepted(
        static_cast<SocketHandle>(::accept(native(own.socket()), reinterpret_cast<sockaddr *>(&storage), &size)));
    if (accepted.socket() == NO_SOCKET) {
        if (tcp::means_gone_visitor(tcp::last_error())) {
            return std::nullopt;
        }
        fail_with_last_error();
    }
    set_flag(accepted.socket(), IPPROTO_TCP, TCP_NODELAY);
    return Visitor{std::move(accepted), address_of(storage), name_of(storage, size)};
}

int Listener::port() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(native(own.socket()), reinterpret_cast<sockaddr *>(&storage), &size);
    return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6 &>(storage).sin6_port
                                               : reinterpret_cast<const sockaddr_in &>(storage).sin_port);
}
