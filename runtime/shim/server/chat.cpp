#include "server/chat.h"

// With its folder, and before cli-context.h: Windows has a header of this name too, which cli-context.h would include.
#include "common/http.h"

#include "arg.h"
#include "base/message.h"
#include "base/mode.h"
#include "base/terminal.h"
#include "cli-context.h"
#include "common.h"
#include "engine/engine_log.h"
#include "engine/engine_options.h"
#include "llama.h"
#include "log.h"
#include "options/options.h"
#include "prompts/keeping.h"
#include "sandbox/sandbox.h"
#include "server-stream.h"
#include "server/server.h"
#include "server/session.h"
#include "server/shutdown.h"

#include <clocale>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

extern const char *LLAMA_ASCII_LOGO; // the engine's name in letters five lines high, which its chat prints

namespace {

bool parse(const Arguments &arguments, llama_example example, common_params &params) {
    return common_params_parse(static_cast<int>(arguments.size()), pointers_to(arguments).data(), params, example);
}

// Parses the options of chat and server: no program of the engine has all of them.
bool parse_both(const Arguments &arguments, common_params &params) {
    std::set<std::string> chat_options;
    common_params unused;
    for (const common_arg &option : common_params_parser_init(unused, LLAMA_EXAMPLE_CLI).options) {
        const std::vector<std::string> names = option.get_args();
        chat_options.insert(names.begin(), names.end());
    }
    Arguments server = {arguments[0]}, chat = {arguments[0]};
    for (const Option &option : split({arguments.begin() + 1, arguments.end()}, engine_options())) {
        Arguments &program = chat_options.count(option.name) != 0 ? chat : server;
        program.push_back(option.name);
        program.insert(program.end(), option.values.begin(), option.values.end());
    }
    if (!parse(server, LLAMA_EXAMPLE_SERVER, params)) {
        return false;
    }
    // Each call of parse() appends an end marker to these.
    params.kv_overrides.clear();
    params.tensor_buft_overrides.clear();
    params.speculative.draft.tensor_buft_overrides.clear();
    return parse(chat, LLAMA_EXAMPLE_CLI, params);
}

// The first Control-C ends an answer, or the chat if there is none; the second one ends the process.
void on_interrupt(int) {
    if (cli_context::interrupted().exchange(true)) {
        restore_terminal();
        std::_Exit(130);
    }
}

} // namespace

int run_chat(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    common_params params;
    params.verbosity = LOG_LEVEL_ERROR; // the terminal is for the chat
    common_init();
    save_terminal();
    if (!parse_both(arguments, params)) {
        return 1;
    }
    if (params.server_base.empty()) {
        prepare_server(params, arguments);
    }
    capture_engine_log(params.verbosity == LOG_LEVEL_ERROR);
    open_prompt_keeping(params, uint64_t(session().disk_cache_mebibytes) << 20U, false);
    confine_before_model(params, Mode::CHAT);
    server_stream_session_manager_start();
    llama_backend_init();
    llama_numa_init(params.numa);
    install_interrupt_handler(on_interrupt);
    ignore_broken_pipes();
    LLAMA_ASCII_LOGO = "";
    cli_context chat(params);
    if (chat.init()) {
        const int status = chat.run();
        finish_prompt_keeping();
        return status;
    }
    if (!cli_context::interrupted()) {
        const std::string error = first_engine_error();
        log_line(error.empty() ? "the chat could not start" : "cannot load '" + params.model.path + "': " + error);
    }
    return 1;
}
