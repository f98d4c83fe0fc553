#include "server/listening.h"

#include "base/message.h"
#include "common.h"
#include "server/network.h"

#include <atomic>
#include <utility>

namespace {

constexpr int MORE_PORTS = 10;
constexpr const char SOCKET_SUFFIX[] = ".sock";

std::atomic<bool> is_announced{false};

bool is_socket_path(const std::string &host) {
    const size_t size = sizeof SOCKET_SUFFIX - 1;
    return host.size() >= size && host.compare(host.size() - size, size, SOCKET_SUFFIX) == 0;
}

// What stands in the way of PORT on all hosts of PARAMS, in the terms of the one where it does.
Port probe_hosts(const common_params &params, int port, std::string &host, std::string &reason) {
    for (const std::string &each : params.hostnames) {
        const Port found = is_socket_path(each) ? Port::FREE : probe_port(each, port, reason);
        if (found != Port::FREE) {
            host = each;
            return found;
        }
    }
    return Port::FREE;
}

} // namespace

bool settle_port(common_params &params, bool fixed, std::string &problem) {
    const int wanted = params.port;
    const int last = fixed ? wanted : wanted + MORE_PORTS;
    if (wanted == 0) {
        return true; // the system chooses
    }
    std::string host, reason;
    for (int port = wanted; port <= last && port < 65536; ++port) {
        switch (probe_hosts(params, port, host, reason)) {
        case Port::FREE:
            if (port != wanted) {
                complain("port " + std::to_string(wanted) + " is in use; this server takes " + std::to_string(port));
            }
            params.port = port;
            return true;
        case Port::UNUSABLE:
            problem = "cannot listen on " + host + ":" + std::to_string(port) + ": " + reason;
            return false;
        case Port::TAKEN:
            break;
        }
    }
    problem = fixed ? "cannot listen on " + host + ":" + std::to_string(wanted) + ": the port is in use"
                    : "cannot listen on " + host + ": the ports from " + std::to_string(wanted) + " to " +
                          std::to_string(last) + " are in use";
    problem += "; choose another one with --port";
    return false;
}

bool port_was_lost(const common_params &params) {
    std::string host, reason;
    return !is_announced && params.port != 0 && probe_hosts(params, params.port, host, reason) == Port::TAKEN;
}

std::vector<std::string> reachable_urls(const std::string &address) {
    for (const auto &[any, is_ipv6] : {std::pair("://0.0.0.0:", false), std::pair("://[::]:", true)}) {
        const size_t found = address.find(any);
        if (found == std::string::npos) {
            continue;
        }
        std::vector<std::string> urls;
        for (const std::string &host : local_addresses(is_ipv6)) {
            urls.push_back(address.substr(0, found) + "://" + host + address.substr(address.rfind(':')));
        }
        return urls;
    }
    return {address};
}

void announce(const std::string &address) {
    is_announced = true;
    for (const std::string &url : reachable_urls(address)) {
        complain("listening on " + url);
    }
}
