#include "completion/completion_options.h"

#include "arg.h"
#include "base/file.h"
#include "base/standard_input.h"
#include "base/user_error.h"
#include "hooks/hooks.h"
#include "llama.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>

namespace {

using Options = std::map<std::string, common_arg>; // by spelling

Options options_of(llama_example tool) {
    common_params ignored; // receives the tool's defaults; only the table of options is used
    Options options;
    for (const common_arg &option : common_params_parser_init(ignored, tool, nullptr).options) {
        for (const std::string &name : option.get_args()) {
            options.emplace(name, option);
        }
    }
    return options;
}

size_t value_count(const common_arg &option) {
    return option.handler_str_str != nullptr ? 2 : option.handler_string != nullptr || option.handler_int != nullptr;
}

void apply(const common_arg &option, const std::string &name, const std::string &value, common_params &params) {
    if (option.handler_string != nullptr) {
        option.handler_string(params, value);
    } else if (option.handler_int != nullptr) {
        option.handler_int(params, std::stoi(value));
    } else if (option.handler_bool != nullptr) {
        option.handler_bool(params, std::find(option.args.begin(), option.args.end(), name) != option.args.end());
    } else if (option.handler_void != nullptr) {
        option.handler_void(params);
    }
}

// Checks a file before the engine, which reports one that it cannot open with a page of usage.
void check_file(const std::string &option, const std::string &name) {
    static const std::set<std::string> reading = {
        "-f", "--file", "-bf", "--binary-file", "--grammar-file", "--json-schema-file", "-jf"};
    if (reading.count(option) == 0 || is_standard_input(name)) {
        return;
    }
    std::error_code error;
    const auto status = std::filesystem::status(system_path(name), error);
    std::string text;
    if (std::filesystem::is_directory(status)) {
        throw UserError("cannot read '" + name + "' (" + option + "): it is a folder");
    }
    if (!std::filesystem::exists(status) && !llamafile_read_text(name, text)) {
        throw UserError("there is no file '" + name + "' for " + option + ", neither on disk nor in this llamafile");
    }
}

// Splits a command line into arguments for the engine's completion tool, including unknown ones, which it reports, and
// options that are applied to PARAMS here.
class Reader {
  public:
    explicit Reader(common_params &params) : params(params) {}

    void read(const Arguments &arguments) {
        rest = {arguments.at(0)};
        for (size_t at = 1; at < arguments.size();) {
            const std::string name = normalised(arguments[at]);
            const auto own = completion.find(name);
            const auto other = images.find(name);
            const bool is_other = own == completion.end() && other != images.end();
            const size_t count = own != completion.end() ? value_count(own->second)
                                 : is_other              ? value_count(other->second)
                                                         : 0;
            const size_t end = std::min(at + 1 + count, arguments.size());
            if (!is_other) {
                rest.insert(rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(at),
                            arguments.begin() + static_cast<std::ptrdiff_t>(end));
            }
            if (end - at != 1 + count) {
                throw UserError(name + " needs a value");
            }
            const std::string value = count == 0 ? std::string() : arguments[at + 1];
            check_file(name, value);
            if (name == "--color" || name == "-co") {
                color = value;
            }
            if (is_other) {
                apply(other->second, name, value, params);
            }
            at = end;
        }
    }

    Arguments rest;
    std::string color = "off"; // llamafile's default; the engine's depends on the terminal

  private:
    common_params &params;
    const Options completion = options_of(LLAMA_EXAMPLE_COMPLETION);
    const Options images = options_of(LLAMA_EXAMPLE_MTMD);
};

} // namespace

bool read_completion_options(const Arguments &arguments, common_params &params) {
    Reader reader(params);
    try {
        reader.read(arguments);
    } catch (const std::logic_error &error) { // std::stoi's
        throw UserError(std::string("an option has a value that it cannot have: ") + error.what());
    }
    const int argc = static_cast<int>(reader.rest.size());
    if (!common_params_parse(argc, pointers_to(reader.rest).data(), params, LLAMA_EXAMPLE_COMPLETION)) {
        return false;
    }
    params.use_color = common_arg_utils::is_truthy(reader.color) ||
                       (common_arg_utils::is_autoy(reader.color) && params.use_color && is_terminal(stdout));
    params.warmup = false; // saves nothing for a single prompt
    if (params.n_ctx != 0 && !llama_supports_gpu_offload()) {
        params.fit_params = false; // there is nothing to fit, and the engine would read the model's header twice
    }
    return true;
}
