#include "server/network.h"

#include <algorithm>
#include <cstring>

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <cerrno>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

namespace {

#ifdef _WIN32
using Socket = SOCKET;

constexpr Socket NO_SOCKET = INVALID_SOCKET;
// With SO_REUSEADDR, Windows gives a port to any number of servers.
constexpr int SHARING = SO_EXCLUSIVEADDRUSE;

bool start_network() {
    WSADATA data;
    static const int failure = WSAStartup(MAKEWORD(2, 2), &data);
    return failure == 0;
}

void close_socket(Socket socket) {
    closesocket(socket);
}

int last_error() {
    return WSAGetLastError();
}

bool means_taken(int error) {
    return error == WSAEADDRINUSE || error == WSAEACCES;
}

std::string text_of(int error) {
    return "Windows Sockets error " + std::to_string(error);
}
#else
using Socket = int;

constexpr Socket NO_SOCKET = -1;
// Or a port stays taken for a minute after a server ended.
constexpr int SHARING = SO_REUSEADDR;

bool start_network() {
    return true;
}

void close_socket(Socket socket) {
    close(socket);
}

int last_error() {
    return errno;
}

bool means_taken(int error) {
    return error == EADDRINUSE;
}

std::string text_of(int error) {
    return std::strerror(error);
}
#endif

// The error that keeps a server from listening on ADDRESS; 0 if nothing does.
int listening_error(const addrinfo &address) {
    const Socket descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol);
    if (descriptor == NO_SOCKET) {
        return last_error();
    }
    const int yes = 1;
    setsockopt(descriptor, SOL_SOCKET, SHARING, reinterpret_cast<const char *>(&yes), sizeof yes);
    const auto size = static_cast<socklen_t>(address.ai_addrlen);
    const bool good = bind(descriptor, address.ai_addr, size) == 0 && listen(descriptor, 1) == 0;
    const int error = good ? 0 : last_error();
    close_socket(descriptor);
    return error;
}

// The address as a URL has it; empty for one that no other program could use as it stands.
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
        return {}; // browsers do not take an address with the name of an interface in it
    }
    return "[" + std::string(text) + "]";
}

std::vector<std::string> interface_addresses() {
    std::vector<std::string> hosts;
#ifdef _WIN32
    char name[256] = {};
    addrinfo *found = nullptr;
    if (gethostname(name, sizeof name) == 0 && getaddrinfo(name, nullptr, nullptr, &found) == 0) {
        for (const addrinfo *entry = found; entry != nullptr; entry = entry->ai_next) {
            hosts.push_back(host_of(*entry->ai_addr));
        }
        freeaddrinfo(found);
    }
#else
    ifaddrs *found = nullptr;
    if (getifaddrs(&found) == 0) {
        for (const ifaddrs *entry = found; entry != nullptr; entry = entry->ifa_next) {
            if (entry->ifa_addr != nullptr && (entry->ifa_flags & IFF_UP) != 0) {
                hosts.push_back(host_of(*entry->ifa_addr));
            }
        }
        freeifaddrs(found);
    }
#endif
    return hosts;
}

} // namespace

Port probe_port(const std::string &host, int port, std::string &reason) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo *addresses = nullptr;
    const int failure =
        start_network() ? getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses) : EAI_FAIL;
    if (failure != 0) {
        reason = "there is no such address: " + std::string(gai_strerror(failure));
        return Port::UNUSABLE;
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
        return Port::FREE;
    }
    reason = means_taken(error) ? "the port is in use" : text_of(error);
    return means_taken(error) ? Port::TAKEN : Port::UNUSABLE;
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
