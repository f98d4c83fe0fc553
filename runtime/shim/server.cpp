#include "arg.h"
#include "common.h"
#include "engine_log.h"
#include "llama.h"
#include "log.h"
#include "message.h"
#include "model.h"
#include "modes.h"
#include "server-stream.h"

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#ifndef _WIN32
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

// The engine's server (tools/server/server.cpp has no header).
int llama_server(common_params &params, int argc, char **argv);

namespace {

#ifndef _WIN32

// Binds and lets go: the engine would find out too, but only after a page of other messages.
bool can_listen(const std::string &host, int port, std::string &problem) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo *addresses = nullptr;
    const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses);
    if (failure != 0) {
        problem = "there is no address '" + host + "' to listen on: " + gai_strerror(failure);
        return false;
    }
    int reason = 0;
    bool bound = false;
    for (const addrinfo *address = addresses; address != nullptr && !bound; address = address->ai_next) {
        const int descriptor = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
        if (descriptor < 0) {
            reason = errno;
            continue;
        }
        const int yes = 1;
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        bound = bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, 1) == 0;
        reason = errno;
        close(descriptor);
    }
    freeaddrinfo(addresses);
    if (!bound) {
        problem = "cannot listen on " + host + ":" + std::to_string(port) + ": " +
                  (reason == EADDRINUSE ? "the port is in use; choose another one with --port"
                                        : std::string(std::strerror(reason)));
    }
    return bound;
}

#else

bool can_listen(const std::string &, int, std::string &) {
    return true;
}

#endif

bool is_socket_path(const std::string &host) {
    constexpr const char suffix[] = ".sock";
    const size_t size = sizeof suffix - 1;
    return host.size() >= size && host.compare(host.size() - size, size, suffix) == 0;
}

bool check(const common_params &params, std::string &problem) {
    if (!params.model.path.empty() && params.model.url.empty() && params.model.hf_repo.empty() &&
        !check_model(params.model.path, problem)) {
        return false;
    }
    for (const std::string &host : params.hostnames) {
        if (!is_socket_path(host) && params.port != 0 && !can_listen(host, params.port, problem)) {
            return false;
        }
    }
    return true;
}

} // namespace

int run_server(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
#ifndef _WIN32
    std::signal(SIGPIPE, SIG_IGN); // a client that goes away is not a reason to end
#endif
    std::vector<char *> argv;
    for (const std::string &argument : arguments) {
        argv.push_back(const_cast<char *>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const int argc = static_cast<int>(argv.size()) - 1;

    common_params params;
    common_init();
    server_stream_session_manager_start();
    if (!common_params_parse(argc, argv.data(), params, LLAMA_EXAMPLE_SERVER)) {
        return 1;
    }
    std::string problem;
    if (!check(params, problem)) {
        server_stream_session_manager_stop();
        complain(problem);
        return 1;
    }
    listen_to_engine(false);
    llama_backend_init();
    llama_numa_init(params.numa);
    const std::string model = params.model.path;
    const int status = llama_server(params, argc, argv.data());
    common_log_flush(common_log_main());
    if (status != 0) {
        const std::string error = first_engine_error();
        complain(error.empty() ? "the server could not start" : "cannot load '" + model + "': " + error);
    }
    return status;
}
