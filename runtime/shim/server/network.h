// The ports and addresses of this machine.

#pragma once

#include <string>
#include <vector>

enum class PortState { FREE, TAKEN, UNUSABLE };

struct PortProbe {
    PortState state = PortState::FREE;
    std::string reason; // why the port is not free, in a few words
};

// Tests whether a server could listen on HOST and PORT now.
PortProbe probe_port(const std::string &host, int port);

// The addresses of the interfaces that are up, loopback first, in the form of URLs: those of IPv6 in brackets.
std::vector<std::string> local_addresses(bool with_ipv6);
