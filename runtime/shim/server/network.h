// What a server must know of the machine's network before it listens, and to say afterwards where it is.

#pragma once

#include <string>
#include <vector>

enum class Port { FREE, TAKEN, UNUSABLE };

// Whether a server could listen on HOST and PORT now; if not, REASON says why in a few words.
Port probe_port(const std::string &host, int port, std::string &reason);

// The addresses of the interfaces that are up, loopback first; as URLs have them, so those of IPv6 in brackets.
std::vector<std::string> local_addresses(bool with_ipv6);
