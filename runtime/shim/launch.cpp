#include "launch.h"

#include "archive/own_container.h"
#include "archive/weights.h"
#include "base/environment.h"
#include "base/message.h"
#include "base/program_name.h"
#include "base/router_child.h"
#include "base/user_error.h"
#include "completion/completion.h"
#include "cpu/cpu_variant.h"
#include "cpu/time_slice.h"
#include "engine/engine_options.h"
#include "engine/model_cache.h"
#include "gpu/gpu.h"
#include "gpu/gpu_info.h"
#include "options/gpu_flags.h"
#include "options/options.h"
#include "options/sealed.h"
#include "options/usage.h"
#include "resolve/model.h"
#include "resolve/names.h"
#include "resolve/presets.h"
#include "rpc/lost_worker.h"
#include "rpc/workers.h"
#include "sandbox/sandbox.h"
#include "server/access.h"
#include "server/chat.h"
#include "server/server.h"
#include "server/session.h"

#include <cstdio>
#include <map>
#include <optional>

namespace {

using Action = Launch::Action;

constexpr const char SERVER_NAME[] = "llamafile-server";
constexpr const char WORKERS_VARIABLE[] = "LLAMA_ARG_RPC"; // the engine's
const std::string NO_GPU = "there is no such GPU that this program can use: ";

const std::map<std::string, Mode> MODES = {
    {"--server", Mode::SERVER}, {"--v2", Mode::SERVER}, {"--cli", Mode::COMPLETION}, {"--chat", Mode::CHAT}};

Arguments read_defaults(const Container &container) {
    const zip::Member *member = container.find_member(Container::DEFAULT_ARGUMENTS);
    if (member == nullptr) {
        return {};
    }
    const std::string text = container.read_text(*member);
    if (text.find('\0') != std::string::npos) {
        throw UserError("'.args' in " + container.name() + " holds a NUL byte; it must be text, one argument a line");
    }
    return parse_lines(text);
}

// The launch for options that only print a text.
std::optional<Launch> answer(const Options &options) {
    if (last_of(options, {"--help", "-h", "-help", "--usage"}) != nullptr) {
        return Launch{Action::PRINT_USAGE, {}};
    }
    if (last_of(options, {"--version"}) != nullptr && gpu_request(options).kind == GpuRequest::Kind::NONE) {
        return Launch{Action::PRINT_VERSION, {}};
    }
    return std::nullopt;
}

// The launch for options that print a text about this machine's GPUs, which the program's archive has the means for.
std::optional<Launch> answer_about_gpus(const Options &options, const std::string &argument0, const Arguments &user) {
    if (const Option *last = last_of(options, {"--gpu-info", "--gpu-info-json"})) {
        return Launch{last->name == "--gpu-info" ? Action::PRINT_GPUS : Action::PRINT_GPUS_AS_JSON, {}};
    }
    if (last_of(options, {"--version"}) != nullptr) {
        Launch launch{Action::PRINT_VERSION, {}};
        GpuSearch search = open_gpus(gpu_request(options), argument0, user);
        if (search.gpus.empty()) {
            throw UserError(NO_GPU + search.obstacle);
        }
        launch.gpus = std::move(search.gpus);
        return launch;
    }
    return std::nullopt;
}

Mode mode_of(const Options &options, bool is_server) {
    if (const Option *last = last_of(options, {"--server", "--v2", "--cli", "--chat"})) {
        return MODES.at(last->name);
    }
    const bool has_prompt =
        last_of(options, {"-p", "--prompt", "-f", "--file", "-bf", "--binary-file", "--random-prompt"}) != nullptr;
    return has_prompt && !is_server ? Mode::COMPLETION : Mode::SERVER;
}

// False for options of the engine's that only print a text.
bool needs_model(const Options &options) {
    return last_of(options, {"--list-devices", "-cl", "--cache-list", "--completion-bash", "--server-base"}) == nullptr;
}

bool has_model(const Options &options) {
    Arguments names; // without the values, which may look like options
    for (const Option &option : options) {
        names.push_back(option.name);
    }
    return names_model(names);
}

// The engine's arguments for OPTIONS. Logs remarks. Throws UserError if the program cannot start with these options.
Translation translate_with_remarks(const Options &options, const TranslationContext &context) {
    Translation translation = translate(options, context);
    for (const std::string &remark : translation.remarks) {
        log_line(remark);
    }
    if (!translation.refusal.empty()) {
        throw UserError(translation.refusal);
    }
    return translation;
}

Launch tool_launch(Tool tool, const std::string &argument0, const Arguments &user) {
    find_own_container(argument0);
    seal(is_packed(*own_container()));
    Launch launch{Action::RUN_TOOL, {argument0}};
    launch.tool = tool;
    const ToolArguments given = split_tool_arguments(user);
    const GpuSearch search = open_gpus(given.request, argument0, user);
    if (search.gpus.empty() && !search.obstacle.empty()) {
        if (given.request.kind != GpuRequest::Kind::ANY) {
            throw UserError(NO_GPU + search.obstacle);
        }
        log_line(NO_GPU + search.obstacle + "; the CPU computes everything");
    }
    launch.arguments.insert(launch.arguments.end(), given.rest.begin(), given.rest.end());
    return launch;
}

// True if OPTIONS name no model, and this file has none: then the server offers those that other programs have fetched.
bool serves_cached_models(const Options &options, Mode mode) {
    const std::shared_ptr<const Container> container = own_container();
    return mode == Mode::SERVER && !has_model(options) && !container->is_damaged() && !is_packed(*container) &&
           has_cached_models();
}

// USER are the arguments of the command line, GIVEN those of OPTIONS; CONTEXT is complete but for the GPUs.
Launch mode_launch(const std::string &argument0, const Arguments &user, const Arguments &given, const Options &options,
                   TranslationContext context) {
    Launch launch{Action::RUN_MODE, {argument0}};
    launch.mode = context.mode;
    if (last_of(options, {"--help-engine"}) != nullptr) {
        launch.arguments.emplace_back("--help");
        launch.options.opens_browser = false;
        return launch;
    }
    const std::string workers = variable(WORKERS_VARIABLE); // empty if the process is sealed
    remove_variable(WORKERS_VARIABLE);
    context.has_workers = !workers.empty() || last_of(options, {"--rpc"}) != nullptr;
    context.gpu_search = open_gpus(gpu_request(options), argument0, user);
    if (context.mode == Mode::SERVER && !names_gpu(options) && has_idle_gpu()) {
        log_line("this machine has a GPU, and the CPU computes; -ngl 999 lets the GPU compute as much as fits into it");
    }
    const Translation translation = translate_with_remarks(options, context);
    launch.options = translation.launch_options;
    launch.options.first_model = first_model(options);
    launch.options.workers = launch.options.workers.empty() ? workers : launch.options.workers;
    Arguments arguments = translation.arguments;
    if (given.empty() && own_container()->has_archive() && !is_packed(*own_container())) {
        return {Action::EXPLAIN_MISSING_MODEL, {argument0}};
    }
    if (needs_model(options) && !has_model(options) && !serves_cached_models(options, context.mode)) {
        arguments.insert(arguments.begin(), {"-m", only_model()});
    }
    const Arguments resolved = resolve_names(arguments);
    launch.arguments.insert(launch.arguments.end(), resolved.begin(), resolved.end());
    return launch;
}

void print_version(const std::vector<Gpu> &gpus) {
    std::printf("llamafile " LLAMAFILE_VERSION "\ncomputes with the variant for: %s\n", cpu_variant());
    for (const Gpu &gpu : gpus) {
        std::printf("computes with %s: %s\n", gpu.device.c_str(), gpu.name.c_str());
    }
}

int run_mode(const Launch &launch) {
    if (launch.options.opens_browser && launch.mode == Mode::SERVER && !is_router_child()) {
        session().browser.prepare();
    }
    for (const std::string &origin : launch.options.allowed_origins) {
        access().allow_origin(origin);
    }
    session().shutdown_seconds = launch.options.shutdown_seconds.value_or(session().shutdown_seconds);
    if (!launch.options.has_sandbox) {
        disable_sandbox();
    }
    session().first_model = launch.options.first_model;
    session().models_memory = launch.options.models_memory;
    session().disk_cache_mebibytes = launch.options.disk_cache_mebibytes.value_or(session().disk_cache_mebibytes);
    session().has_workers = !launch.options.workers.empty();
    if (session().has_workers) {
        connect_workers(launch.options.workers, launch.options.worker_seconds);
    }
    if (launch.mode != Mode::COMPLETION) {
        leave_time_for_answers();
    }
    switch (launch.mode) {
    case Mode::COMPLETION:
        return run_completion(launch.arguments);
    case Mode::CHAT:
        return run_chat(launch.arguments);
    default:
        return run_server(launch.arguments);
    }
}

} // namespace

Launch prepare(const std::string &argument0, const Arguments &user) {
    if (const Tool tool = tool_named(argument0)) {
        return tool_launch(tool, argument0, user);
    }
    TranslationContext context;
    context.engine = engine_options();
    if (const std::optional<Launch> launch = answer(split(user, context.engine))) {
        return *launch;
    }
    const bool is_server = is_started_as(SERVER_NAME, argument0); // before the launcher's variable is removed
    find_own_container(argument0);
    const std::shared_ptr<const Container> container = own_container();
    const Arguments given = is_router_child() ? user : merge(read_defaults(*container), user);
    Options options = split(given, context.engine);
    if (const std::optional<Launch> launch = answer(options)) {
        return *launch;
    }
    if (const std::optional<Launch> launch = answer_about_gpus(options, argument0, user)) {
        return *launch;
    }
    context.mode = is_router_child() ? Mode::SERVER : mode_of(options, is_server);
    context.is_sealed = is_packed(*container) && last_of(options, {"--unsealed"}) == nullptr;
    seal(context.is_sealed);
    options = with_one_model(options, context.engine, context.mode);
    return mode_launch(argument0, user, given, options, context);
}

int start(const Launch &launch) {
    switch (launch.action) {
    case Action::PRINT_USAGE:
        print_usage();
        return 0;
    case Action::PRINT_VERSION:
        print_version(launch.gpus);
        return 0;
    case Action::PRINT_GPUS:
    case Action::PRINT_GPUS_AS_JSON:
        return print_gpu_info(launch.action == Action::PRINT_GPUS_AS_JSON);
    case Action::EXPLAIN_MISSING_MODEL:
        explain_missing_model(launch.arguments.front());
        return 1;
    case Action::RUN_TOOL:
        request_short_time_slices();
        return run_tool(launch.tool, launch.arguments);
    case Action::RUN_MODE:
        request_short_time_slices();
        return run_mode(launch);
    }
    return 1;
}
