#include "server/socket.h"

bool start_network() {
    WSADATA data;
    static const int failure = WSAStartup(MAKEWORD(2, 2), &data);
    return failure == 0;
}

bool is_valid(Socket socket) {
    return socket != INVALID_SOCKET;
}

void close_socket(Socket socket) {
    closesocket(socket);
}

void set_exclusive(Socket socket) {
    const int yes = 1; // SO_REUSEADDR would give a port to any number of servers
    setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, reinterpret_cast<const char *>(&yes), sizeof yes);
}

int last_socket_error() {
    return WSAGetLastError();
}

bool means_taken(int error) {
    return error == WSAEADDRINUSE || error == WSAEACCES;
}

std::string text_of_socket_error(int error) {
    return "Windows Sockets error " + std::to_string(error);
}

std::vector<std::string> interface_addresses() {
    std::vector<std::string> hosts;
    char name[256] = {};
    addrinfo *found = nullptr;
    if (gethostname(name, sizeof name) != 0 || getaddrinfo(name, nullptr, nullptr, &found) != 0) {
        return hosts;
    }
    for (const addrinfo *entry = found; entry != nullptr; entry = entry->ai_next) {
        hosts.push_back(host_of(*entry->ai_addr));
    }
    freeaddrinfo(found);
    return hosts;
}
