// The list of hosts of --rpc.

#pragma once

#include <string>
#include <vector>

// HOST:PORT, with an address of IPv6 in brackets.
struct WorkerName {
    std::string host;
    int port;
};

// The workers in LIST, which are separated by commas. Throws UserError.
std::vector<WorkerName> parse_workers(const std::string &list);
