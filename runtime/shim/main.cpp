// llamafile: the engine, with the weights and default arguments that its own file carries.

#include "archive/container.h"
#include "base/message.h"
#include "base/program_name.h"
#include "cpu/cpu_variant.h"
#include "modes.h"
#include "options/arguments.h"
#include "options/engine.h"
#include "options/options.h"
#include "options/sealed.h"
#include "options/translation.h"
#include "options/usage.h"
#include "resolve/model.h"
#include "resolve/names.h"
#include "sandbox/sandbox.h"
#include "server/browser.h"
#include "tools.h"

#include <cstdio>
#include <exception>
#include <map>
#include <string>

namespace {

constexpr const char SERVER_NAME[] = "llamafile-server";

const std::map<std::string, Mode> MODES = {
    {"--server", Mode::SERVER}, {"--v2", Mode::SERVER}, {"--cli", Mode::COMPLETION}, {"--chat", Mode::CHAT}};

bool read_defaults(Arguments &defaults) {
    const Container &container = Container::instance();
    const zip::Member *member = container.find_member(Container::DEFAULT_ARGUMENTS);
    std::string text, problem;
    if (member == nullptr) {
        return true;
    }
    if (!container.read_text(*member, text, problem)) {
        complain(problem);
        return false;
    }
    if (text.find('\0') != std::string::npos) {
        complain("'.args' in " + container.path() + " holds a NUL byte; it must be text, one argument a line");
        return false;
    }
    defaults = parse_lines(text);
    return true;
}

bool answers(const Options &options) {
    if (last_of(options, {"--help", "-h", "-help", "--usage"}) != nullptr) {
        print_usage();
        return true;
    }
    if (last_of(options, {"--version"}) != nullptr) {
        std::printf("llamafile " LLAMAFILE_VERSION "\ncomputes with the variant for: %s\n", cpu_variant());
        return true;
    }
    return false;
}

Mode mode_of(const Options &options, bool is_server) {
    if (const Option *last = last_of(options, {"--server", "--v2", "--cli", "--chat"})) {
        return MODES.at(last->name);
    }
    const bool has_prompt =
        last_of(options, {"-p", "--prompt", "-f", "--file", "-bf", "--binary-file", "--random-prompt"}) != nullptr;
    return has_prompt && !is_server ? Mode::COMPLETION : Mode::SERVER;
}

// Options that print something and exit need no model.
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

// Adds what the archive alone can say: the weights, if no option does.
bool add_model(Arguments &arguments, const Options &options, const Arguments &given, const std::string &argument0) {
    if (!needs_model(options) || has_model(options)) {
        return true;
    }
    std::string problem;
    const std::string model = only_model(problem);
    if (!model.empty()) {
        arguments.insert(arguments.begin(), {"-m", model});
        return true;
    }
    const Container &container = Container::instance();
    if (given.empty() && container.has_archive() && !container.is_packed()) {
        explain_missing_model(argument0);
    } else {
        complain(problem);
    }
    return false;
}

int start(Mode mode, const Arguments &arguments) {
    switch (mode) {
    case Mode::COMPLETION:
        return run_completion(arguments);
    case Mode::CHAT:
        return run_chat(arguments);
    default:
        return run_server(arguments);
    }
}

int run(const std::string &argument0, const Arguments &user) {
    if (const Tool tool = tool_named(argument0)) {
        return run_tool(tool, argument0, user);
    }
    Circumstances circumstances;
    circumstances.engine = engine_options();
    if (answers(split(user, circumstances.engine))) {
        return 0;
    }
    const bool is_server = is_started_as(SERVER_NAME, argument0);
    Container &container = Container::instance();
    container.find(argument0.c_str());
    Arguments defaults;
    if (!read_defaults(defaults)) {
        return 1;
    }
    const Arguments given = merge(defaults, user);
    const Options options = split(given, circumstances.engine);
    if (answers(options)) {
        return 0;
    }
    circumstances.mode = mode_of(options, is_server);
    circumstances.is_sealed = container.is_packed() && last_of(options, {"--unsealed"}) == nullptr;
    seal(circumstances.is_sealed);
    if (last_of(options, {"--help-engine"}) != nullptr) {
        return start(circumstances.mode, {argument0, "--help"});
    }
    circumstances.gpus = usable_gpus();
    Translation translation = translate(options, circumstances);
    for (const std::string &remark : translation.remarks) {
        complain(remark);
    }
    if (!translation.problem.empty()) {
        complain(translation.problem);
        return 1;
    }
    Arguments arguments = translation.arguments;
    if (!add_model(arguments, options, given, argument0)) {
        return 1;
    }
    std::string problem;
    if (!resolve_names(arguments, problem)) {
        complain(problem);
        return 1;
    }
    if (translation.choices.opens_browser && circumstances.mode == Mode::SERVER) {
        prepare_browser();
    }
    if (!translation.choices.has_sandbox) {
        stay_unconfined();
    }
    arguments.insert(arguments.begin(), argument0);
    return start(circumstances.mode, arguments);
}

} // namespace

int main(int argc, char **argv) {
    keep_lines_whole();
    try {
        return run(argc > 0 ? argv[0] : "llamafile", command_line(argc, argv));
    } catch (const std::exception &error) {
        complain(error.what());
        return 1;
    }
}
