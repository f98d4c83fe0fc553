#include "server/socket.h"

#include <cerrno>
#include <cstring>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

bool start_network() {
    return true;
}

bool is_valid(Socket socket) {
    return socket >= 0;
}

void close_socket(Socket socket) {
    close(socket);
}

void set_exclusive(Socket socket) {
    const int yes = 1; // without it, a port stays taken for a minute after a server ended
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

int last_socket_error() {
    return errno;
}

bool means_taken(int error) {
    return error == EADDRINUSE;
}

std::string text_of_socket_error(int error) {
    return std::strerror(error);
}

std::vector<std::string> interface_addresses() {
    std::vector<std::string> hosts;
    ifaddrs *found = nullptr;
    if (getifaddrs(&found) != 0) {
        return hosts;
    }
    for (const ifaddrs *entry = found; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr != nullptr && (entry->ifa_flags & IFF_UP) != 0) {
            hosts.push_back(host_of(*entry->ifa_addr));
        }
    }
    freeifaddrs(found);
    return hosts;
}
