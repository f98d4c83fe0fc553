#include "server/server.h"

#include "arg.h"
#include "base/engine_log.h"
#include "base/message.h"
#include "common.h"
#include "hooks/hooks.h"
#include "llama.h"
#include "log.h"
#include "modes.h"
#include "resolve/model.h"
#include "sandbox/sandbox.h"
#include "server-stream.h"
#include "server/browser.h"
#include "server/embeddings.h"
#include "server/interruption.h"
#include "server/listening.h"
#include "server/pages.h"

#include <clocale>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

// The engine's server (tools/server/server.cpp has no header).
int llama_server(common_params &params, int argc, char **argv);

namespace {

// Seconds that a client may take between two pieces of a request: the engine's hour lets a few hundred idle connections
// keep everybody else out for as long.
constexpr int PATIENCE = 60;

// If nothing else runs in this process: a chat in the terminal has its own idea of Control-C.
bool is_alone = false;

// If the user gave the model a name, responses have that; otherwise they repeat the name in the request.
bool has_alias = false;

std::string pages_path = "/"; // where the server shows its pages

std::string base_name(const std::string &path) {
    return path.substr(path.find_last_of("/\\") + 1); // npos + 1 is 0
}

int serve(common_params &params, int argc, char **argv) {
    server_stream_session_manager_start();
    llama_backend_init();
    llama_numa_init(params.numa);
    return llama_server(params, argc, argv);
}

} // namespace

bool prepare_server(common_params &params, const Arguments &arguments, std::string &problem) {
    const bool is_local = params.model.url.empty() && params.model.hf_repo.empty();
    if (is_local && !params.model.path.empty() && !check_model(params.model.path, problem)) {
        return false;
    }
    if (is_local) {
        offer_embeddings(params);
    }
    if (!has_option(arguments, {"-to", "--timeout"})) {
        params.timeout_read = PATIENCE;
    }
    has_alias = !params.model_alias.empty();
    if (!has_alias && !params.model.path.empty()) {
        params.model_alias.insert(base_name(params.model.path)); // where it lies is nobody else's business
    }
    return settle_port(params, has_option(arguments, {"--port"}), problem);
}

std::string llamafile_model_name(const std::string &fallback, const std::string &requested) {
    return has_alias || requested.empty() ? fallback : requested;
}

void llamafile_listening(const std::string &address) {
    if (!is_alone) {
        // In the line where the cursor is, the chat shows that it loads.
        std::fputs("\n", stdout);
        std::fflush(stdout);
    }
    announce(address);
    if (has_page()) {
        open_browser(address, pages_path);
    }
    if (is_alone) {
        end_promptly();
    }
}

void llamafile_serving() {
    limit_requests();
    confine_serving();
}

int run_server(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
#ifndef _WIN32
    std::signal(SIGPIPE, SIG_IGN); // a client that goes away is not a reason to end
#endif
    const int argc = static_cast<int>(arguments.size());
    std::vector<char *> argv = pointers_to(arguments);

    common_params params;
    common_init();
    if (!common_params_parse(argc, argv.data(), params, LLAMA_EXAMPLE_SERVER)) {
        return 1;
    }
    std::string problem;
    if (params.ui && !load_pages(params.public_path, problem)) {
        complain(problem);
        return 1;
    }
    if (params.ui && !has_page()) {
        complain("there is no web page in this file, only the API");
    }
    listen_to_engine(false);
    pages_path = params.api_prefix + "/";
    is_alone = true;
    prepare_to_end();
    int status = 0;
    bool again = true;
    while (again) {
        common_params attempt = params; // the engine settles more of them
        if (!prepare_server(attempt, arguments, problem)) {
            complain(problem);
            return 1;
        }
        confine_before_model(attempt, Mode::SERVER);
        status = serve(attempt, argc, argv.data());
        again = status != 0 && port_was_lost(attempt);
    }
    common_log_flush(common_log_main());
    if (status != 0) {
        const std::string error = first_engine_error();
        complain(error.empty() ? "the server could not start" : "cannot load '" + params.model.path + "': " + error);
    }
    return status;
}
