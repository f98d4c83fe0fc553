// The differences between POSIX sockets and Windows Sockets, for tcp.cpp.

#pragma once

#include "rpc/tcp.h"

#ifdef _WIN32
#include <winsock2.h>

#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

#ifdef _WIN32
inline SOCKET native(SocketHandle handle) {
    return static_cast<SOCKET>(handle);
}
#else
inline int native(SocketHandle handle) {
    return static_cast<int>(handle);
}
#endif

namespace tcp {

// Makes the network usable, and writing to a closed connection an error.
void start();

void close(SocketHandle socket);
void set_blocking(SocketHandle socket, bool is_blocking);

// Bytes transferred; 0 at the end of the connection; negative for an error.
std::ptrdiff_t write(SocketHandle socket, const char *bytes, size_t size);
std::ptrdiff_t read(SocketHandle socket, char *bytes, size_t size);

// Waits until a connection is made; false after SECONDS.
bool wait_writable(SocketHandle socket, int seconds);

void limit_waiting(SocketHandle socket, int seconds);
void watch_peer(SocketHandle socket);

int last_error();
bool is_interruption(int error);
bool is_in_progress(int error);
bool means_gone_visitor(int error);
std::string text_of(int error);

} // namespace tcp
