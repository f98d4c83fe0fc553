// First, and with its folder: Windows has a header of that name too, and cli-context.h would get that one.
#include "common/http.h"

#include "arg.h"
#include "base/engine_log.h"
#include "base/message.h"
#include "cli-context.h"
#include "common.h"
#include "llama.h"
#include "log.h"
#include "modes.h"
#include "options/engine.h"
#include "options/options.h"
#include "sandbox/sandbox.h"
#include "server-stream.h"
#include "server/server.h"

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#ifdef _WIN32
#include <windows.h>
#endif

extern const char *LLAMA_ASCII_LOGO; // the engine's chat begins with its name, in letters five lines high

namespace {

bool parse(const Arguments &arguments, llama_example example, common_params &params) {
    return common_params_parse(static_cast<int>(arguments.size()), pointers_to(arguments).data(), params, example);
}

// The engine has no program with the options of both.
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
    // Each pass ends these with a mark of its own.
    params.kv_overrides.clear();
    params.tensor_buft_overrides.clear();
    params.speculative.draft.tensor_buft_overrides.clear();
    return parse(chat, LLAMA_EXAMPLE_CLI, params);
}

// The first one ends an answer, or the chat while there is none; the second one ends everything.
void interrupt(int) {
    if (cli_context::interrupted().exchange(true)) {
        std::_Exit(130);
    }
}

#ifdef _WIN32

BOOL WINAPI interrupt_console(DWORD event) {
    if (event == CTRL_C_EVENT) {
        interrupt(SIGINT);
    }
    return event == CTRL_C_EVENT;
}

void handle_interrupts() {
    SetConsoleCtrlHandler(interrupt_console, TRUE);
}

#else

void handle_interrupts() {
    struct sigaction action {};
    action.sa_handler = interrupt; // without SA_RESTART: waiting for a line ends too
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN); // a client that goes away is not a reason to end
}

#endif

} // namespace

int run_chat(const Arguments &arguments) {
    std::setlocale(LC_NUMERIC, "C");
    common_params params;
    params.verbosity = LOG_LEVEL_ERROR; // the terminal belongs to the chat
    common_init();
    if (!parse_both(arguments, params)) {
        return 1;
    }
    std::string problem;
    if (params.server_base.empty() && !prepare_server(params, arguments, problem)) {
        complain(problem);
        return 1;
    }
    listen_to_engine(params.verbosity == LOG_LEVEL_ERROR);
    confine_before_model(params, Mode::CHAT);
    server_stream_session_manager_start();
    llama_backend_init();
    llama_numa_init(params.numa);
    handle_interrupts();
    LLAMA_ASCII_LOGO = "";
    cli_context chat(params);
    if (chat.init()) {
        return chat.run();
    }
    if (!cli_context::interrupted()) {
        const std::string error = first_engine_error();
        complain(error.empty() ? "the chat could not start" : "cannot load '" + params.model.path + "': " + error);
    }
    return 1;
}
