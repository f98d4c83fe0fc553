// The differences between POSIX sockets and Windows Sockets.

#pragma once

#include <string>
#include <vector>

#ifdef _WIN32
#include <winsock2.h>

#include <ws2tcpip.h>

using Socket = SOCKET;
#else
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

using Socket = int;
#endif

// False if this system's network cannot be used.
bool start_network();

bool is_valid(Socket socket);
void close_socket(Socket socket);

// Sets the option that makes bind() fail exactly if another program listens on the address.
void set_exclusive(Socket socket);

int last_socket_error();
bool means_taken(int error);
std::string text_of_socket_error(int error);

// ADDRESS in the form of URLs; empty for one that other programs cannot use without further information.
std::string host_of(const sockaddr &address);

// Those of the interfaces that are up, each as host_of() returns it.
std::vector<std::string> interface_addresses();
