#include "completion/completion_options.h"

#include "arg.h"
#include "base/output.h"
#include "base/standard_input.h"
#include "hooks/hooks.h"
#include "llama.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>

namespace {

using Options = std::map<std::string, common_arg>; // by each of their names

Options options_of(llama_example tool) {
    common_params ignored; // a tool has defaults of its own; here only the names of its options matter
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

// The engine answers a file that it cannot open with a page of usage.
bool check_file(const std::string &option, const std::string &name, std::string &problem) {
    static const std::set<std::string> reading = {
        "-f", "--file", "-bf", "--binary-file", "--grammar-file", "--json-schema-file", "-jf"};
    if (reading.count(option) == 0 || is_standard_input(name)) {
        return true;
    }
    std::error_code error;
    const auto status = std::filesystem::status(std::filesystem::u8path(name), error);
    std::string text;
    if (std::filesystem::is_directory(status)) {
        problem = "cannot read '" + name + "' (" + option + "): it is a folder";
    } else if (!std::filesystem::exists(status) && !llamafile_read_text(name, text)) {
        problem = "there is no file '" + name + "' for " + option + ", neither on disk nor in this llamafile";
    }
    return problem.empty();
}

// As the engine compares names of options.
std::string normalised(std::string name) {
    if (name.rfind("--", 0) == 0) {
        std::replace(name.begin(), name.end(), '_', '-');
    }
    return name;
}

// Splits ARGUMENTS into what the engine's completion tool knows, or complains about, and what is applied to PARAMS
// here.
class Reader {
  public:
    explicit Reader(common_params &params) : params(params) {}

    bool read(const Arguments &arguments, std::string &problem) {
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
                problem = name + " needs a value";
                return false;
            }
            const std::string value = count == 0 ? std::string() : arguments[at + 1];
            if (!check_file(name, value, problem)) {
                return false;
            }
            if (name == "--color" || name == "-co") {
                color = value;
            }
            if (is_other) {
                apply(other->second, name, value, params);
            }
            at = end;
        }
        return true;
    }

    Arguments rest;
    std::string color = "off"; // as llamafile always had it; the engine's default is whatever it takes for a terminal

  private:
    common_params &params;
    const Options completion = options_of(LLAMA_EXAMPLE_COMPLETION);
    const Options images = options_of(LLAMA_EXAMPLE_MTMD);
};

} // namespace

bool read_completion_options(const Arguments &arguments, common_params &params, std::string &problem) {
    params.ctx_shift = true; // a text does not end where the context does
    Reader reader(params);
    try {
        if (!reader.read(arguments, problem)) {
            return false;
        }
    } catch (const std::logic_error &error) { // what std::stoi throws
        problem = std::string("an option has a value that it cannot have: ") + error.what();
        return false;
    }
    const int argc = static_cast<int>(reader.rest.size());
    if (!common_params_parse(argc, pointers_to(reader.rest).data(), params, LLAMA_EXAMPLE_COMPLETION)) {
        return false;
    }
    params.use_color = common_arg_utils::is_truthy(reader.color) ||
                       (common_arg_utils::is_autoy(reader.color) && params.use_color && is_terminal(stdout));
    params.warmup = false; // one prompt is all there is: warming up would cost what it saves
    if (params.n_ctx != 0 && !llama_supports_gpu_offload()) {
        params.fit_params = false; // to find that nothing can be chosen, the engine would read the model's head twice
    }
    return true;
}
