#include "engine/engine_options.h"

#include "arg.h"
#include "common.h"
#include "log.h"

#include <algorithm>
#include <exception>

namespace {

struct Program {
    llama_example example;
    Mode mode;
};

constexpr Program PROGRAMS[] = {
    {LLAMA_EXAMPLE_SERVER, Mode::SERVER},   {LLAMA_EXAMPLE_COMPLETION, Mode::COMPLETION},
    {LLAMA_EXAMPLE_MTMD, Mode::COMPLETION}, {LLAMA_EXAMPLE_CLI, Mode::CHAT},
    {LLAMA_EXAMPLE_SERVER, Mode::CHAT},
};

// The engine's messages begin with "error: " or not, and have newlines at their ends and inside.
std::string stripped(std::string text) {
    const std::string prefix = "error: ";
    text.erase(0, text.starts_with(prefix) ? prefix.size() : 0);
    text.resize(text.find_last_not_of("\r\n") + 1); // npos + 1 is 0
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

std::string refusal_of(const common_arg &option, const std::string &value) {
    common_params ignored;
    common_log_pause(common_log_main()); // some functions also log the reason
    std::string reason;
    try {
        option.handler_string(ignored, value);
    } catch (const std::exception &error) {
        reason = stripped(error.what());
    }
    common_log_resume(common_log_main());
    return reason;
}

} // namespace

EngineOptions engine_options() {
    EngineOptions options;
    for (const Program &program : PROGRAMS) {
        common_params params;
        for (const common_arg &option : common_params_parser_init(params, program.example).options) {
            const size_t values = option.value_hint_2 != nullptr ? 2 : option.value_hint != nullptr ? 1 : 0;
            for (const std::string &name : option.get_args()) {
                options[name].value_count = values;
                options[name].modes.insert(program.mode);
            }
        }
    }
    return options;
}

std::string engine_refusal(const std::string &name, const std::string &value, Mode mode) {
    for (const Program &program : PROGRAMS) {
        common_params ignored;
        for (const common_arg &option : common_params_parser_init(ignored, program.example).options) {
            const std::vector<std::string> names = option.get_args();
            if (program.mode == mode && option.handler_string != nullptr &&
                std::find(names.begin(), names.end(), name) != names.end()) {
                return refusal_of(option, value);
            }
        }
    }
    return {};
}
