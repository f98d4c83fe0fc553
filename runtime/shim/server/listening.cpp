#include "server/listening.h"

#include "base/message.h"
#include "base/user_error.h"
#include "common.h"
#include "server/network.h"
#include "server/session.h"

#include <algorithm>
#include <utility>

namespace {

constexpr int MORE_PORTS = 10;
constexpr int PORT_MAX = 65535;
constexpr const char SOCKET_EXTENSION[] = ".sock"; // of the path of a Unix socket

struct HostProbe {
    PortProbe probe;
    std::string host;
};

// The first host of PARAMS where PORT is not free, or a free port.
HostProbe probe_hosts(const common_params &params, int port) {
    for (const std::string &host : params.hostnames) {
        if (host.ends_with(SOCKET_EXTENSION)) {
            continue;
        }
        const PortProbe probe = probe_port(host, port);
        if (probe.state != PortState::FREE) {
            return {probe, host};
        }
    }
    return {};
}

std::string address_of(const std::string &host, int port) {
    return host + ":" + std::to_string(port);
}

} // namespace

void remove_brackets(common_params &params) {
    for (std::string &host : params.hostnames) {
        if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
            host = host.substr(1, host.size() - 2);
        }
    }
}

void claim_sockets(const common_params &params) {
    std::vector<std::string> paths;
    for (const std::string &host : params.hostnames) {
        if (host.ends_with(SOCKET_EXTENSION)) {
            paths.push_back(host);
        }
    }
    if (session().is_chat && !paths.empty() && paths.size() == params.hostnames.size()) {
        throw UserError("the chat talks to its server at a port: give --host an address too, as in " + paths.front() +
                        ",127.0.0.1");
    }
    session().sockets.claim(paths);
}

void choose_port(common_params &params, bool fixed) {
    const int wanted = params.port;
    const int last = fixed ? wanted : std::min(wanted + MORE_PORTS, PORT_MAX);
    if (wanted == 0) {
        return; // the system chooses
    }
    if (wanted < 0 || wanted > PORT_MAX) { // from the environment: options are checked before
        throw UserError("a port is a number from 0 to " + std::to_string(PORT_MAX) + ", not " + std::to_string(wanted));
    }
    std::string host;
    for (int port = wanted; port <= last; ++port) {
        const HostProbe found = probe_hosts(params, port);
        switch (found.probe.state) {
        case PortState::FREE:
            if (port != wanted) {
                log_line("port " + std::to_string(wanted) + " is in use; this server takes " + std::to_string(port));
            }
            params.port = port;
            return;
        case PortState::UNUSABLE:
            throw UserError("cannot listen on " + address_of(found.host, port) + ": " + found.probe.reason);
        case PortState::TAKEN:
            host = found.host;
            break;
        }
    }
    const std::string problem =
        fixed ? address_of(host, wanted) + ": the port is in use"
              : host + ": the ports from " + std::to_string(wanted) + " to " + std::to_string(last) + " are in use";
    throw UserError("cannot listen on " + problem + "; choose another one with --port");
}

bool port_was_lost(const common_params &params) {
    return !session().is_announced && params.port != 0 &&
           probe_hosts(params, params.port).probe.state == PortState::TAKEN;
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
    session().is_announced = true;
    for (const std::string &url : reachable_urls(address)) {
        log_line("listening on " + url);
    }
}
