#include "server/server.h"

#include "arg.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/message.h"
#include "base/mode.h"
#include "base/router_child.h"
#include "base/user_error.h"
#include "common.h"
#include "engine/engine_log.h"
#include "llama.h"
#include "log.h"
#include "prompts/keeping.h"
#include "resolve/model.h"
#include "sandbox/sandbox.h"
#include "server-stream.h"
#include "server/access.h"
#include "server/embeddings.h"
#include "server/listening.h"
#include "server/router.h"
#include "server/session.h"
#include "server/shutdown.h"

#include <clocale>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

// The engine's server (tools/server/server.cpp has no header).
int llama_server(common_params &params, int argc, char **argv);

namespace {

// Seconds that a client may take between two pieces of a request. The engine's default, an hour, lets a few hundred
// idle connections block all other clients that long.
constexpr int READ_TIMEOUT = 60;

std::string base_name(const std::string &path) {
    return path.substr(path.find_last_of("/\\") + 1); // npos + 1 is 0
}

int serve(common_params &params, const Arguments &arguments) {
    server_stream_session_manager_start();
    llama_backend_init();
    llama_numa_init(params.numa);
    return llama_server(params, static_cast<int>(arguments.size()), pointers_to(arguments).data());
}

// Returns the exit status. Tries another port if another program has taken the chosen one.
int serve_on_free_port(const common_params &params, const Arguments &arguments) {
    for (;;) {
        common_params attempt = params; // the engine changes it
        prepare_server(attempt, arguments);
        open_prompt_keeping(attempt, uint64_t(session().disk_cache_mebibytes) << 20U, is_router(attempt));
        confine_before_model(attempt, Mode::SERVER);
        const int status = serve(attempt, arguments);
        if (status == 0 || !port_was_lost(attempt)) {
            return status;
        }
    }
}

void load_pages(common_params &params) {
    Pages &pages = session().pages;
    params.public_path = pages.load(params.public_path);
    if (!pages.has_page()) {
        log_line("there is no web page in this file, only the API");
    }
}

void check_models_folder(const std::string &path) {
    std::error_code ignored;
    if (!path.empty() && !std::filesystem::is_directory(system_path(path), ignored)) {
        throw UserError("there is no folder '" + path + "' with models");
    }
}

// The names that --host gives the server, and the origins in the engine's variable for them.
void allow_senders(common_params &params) {
    for (const std::string &host : params.hostnames) {
        access().allow_host(host);
    }
    for (const std::string &origin : split_csv(params.cors_origins_explicit ? params.cors_origins : "")) {
        access().allow_origin(origin);
    }
    params.cors_origins = access().allows_all_origins() ? "*" : ""; // so that the engine's warning is true
}

} // namespace

void prepare_server(common_params &params, const Arguments &arguments) {
    const bool is_local = params.model.url.empty() && params.model.hf_repo.empty();
    if (is_local && !params.model.path.empty()) {
        check_model(params.model.path);
    }
    if (is_local) {
        enable_embeddings(params);
    }
    if (!has_option(arguments, {"-to", "--timeout"})) {
        params.timeout_read = READ_TIMEOUT;
    }
    session().has_alias = !params.model_alias.empty();
    if (!session().has_alias && !params.model.path.empty()) {
        params.model_alias.insert(base_name(params.model.path)); // without the folders, which clients must not see
    }
    check_models_folder(params.models_dir);
    remove_brackets(params);
    claim_sockets(params);
    session().page_path = params.api_prefix + "/";
    allow_senders(params);
    choose_port(params, has_option(arguments, {"--port"}));
}

int run_server(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    ignore_broken_pipes();
    common_params params;
    common_init();
    if (!common_params_parse(static_cast<int>(arguments.size()), pointers_to(arguments).data(), params,
                             LLAMA_EXAMPLE_SERVER)) {
        return 1;
    }
    if (is_router_child()) {
        params.ui = false;
        params.api_keys = {router_key()};
    } else if (params.ui) {
        load_pages(params);
    }
    capture_engine_log(false);
    session().is_chat = false;
    session().is_router = is_router(params);
    if (session().is_router && session().has_workers) {
        throw UserError("workers compute for one model: name it with -m, or leave out --rpc");
    }
    prepare_shutdown();
    const int status = serve_on_free_port(params, arguments);
    finish_prompt_keeping();
    session().sockets.release();
    common_log_flush(common_log_main());
    if (status != 0) {
        const std::string error = first_engine_error();
        const std::string what = session().is_router ? "the models" : "'" + params.model.path + "'";
        log_line(error.empty() ? "the server could not start" : "cannot load " + what + ": " + error);
    }
    return status;
}
