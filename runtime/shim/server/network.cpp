#include "server/network.h"

#include "server/socket.h"

#include <algorithm>

namespace {

// The error that prevents a server from listening on ADDRESS; 0 if none does.
int listening_error(const addrinfo &address) {
    const Socket descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol);
    if (!is_valid(descriptor)) {
        return last_socket_error();
    }
    set_exclusive(descriptor);
    const auto size = static_cast<socklen_t>(address.ai_addrlen);
    // NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): is_valid() is in another file
    const bool good = bind(descriptor, address.ai_addr, size) == 0 && listen(descriptor, 1) == 0;
    const int error = good ? 0 : last_socket_error();
    close_socket(descriptor);
    return error;
}

} // namespace

std::string host_of(const sockaddr &address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address.sa_family == AF_INET) {
        const auto &v4 = reinterpret_cast<const sockaddr_in &>(address);
        return inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text) != nullptr ? text : std::string();
    }
    if (address.sa_family != AF_INET6) {
        return {};
    }
    const auto &v6 = reinterpret_cast<const sockaddr_in6 &>(address);
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) || inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text) == nullptr) {
        return {}; // browsers accept no address with the name of an interface
    }
    return "[" + std::string(text) + "]";
}

PortProbe probe_port(const std::string &host, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo *addresses = nullptr;
    const int failure =
        start_network() ? getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses) : EAI_FAIL;
    if (failure != 0) {
        return {PortState::UNUSABLE, "there is no such address: " + std::string(gai_strerror(failure))};
    }
    int error = 0;
    for (const addrinfo *address = addresses; address != nullptr; address = address->ai_next) {
        error = listening_error(*address);
        if (error == 0) {
            break;
        }
    }
    freeaddrinfo(addresses);
    if (error == 0) {
        return {};
    }
    if (means_taken(error)) {
        return {PortState::TAKEN, "the port is in use"};
    }
    return {PortState::UNUSABLE, text_of_socket_error(error)};
}

std::vector<std::string> local_addresses(bool with_ipv6) {
    std::vector<std::string> hosts = {"127.0.0.1"};
    for (const std::string &host : start_network() ? interface_addresses() : std::vector<std::string>()) {
        const bool wanted = !host.empty() && (with_ipv6 || host.front() != '[');
        if (wanted && std::find(hosts.begin(), hosts.end(), host) == hosts.end()) {
            hosts.push_back(host);
        }
    }
    return hosts;
}
