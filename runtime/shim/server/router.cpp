#include "server/router.h"

#include "base/memory.h"
#include "base/message.h"
#include "base/own_file.h"
#include "base/router_child.h"
#include "base/text.h"
#include "base/user_error.h"
#include "common.h"
#include "gpu/gpu.h"
#include "hooks/hooks.h"
#include "json.h"
#include "prompts/keeping.h"
#include "resolve/weights_size.h"
#include "sandbox/sandbox.h"
#include "server/session.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>

namespace {

constexpr int OK = 200;
constexpr int BAD_GATEWAY = 502;
constexpr size_t KEY_WORDS = 4;
constexpr const char OWN_MESSAGE[] = "llamafile: ";
constexpr const char COLOUR[] = "\x1b["; // begins a sequence of characters that sets the colour, and ends with m
constexpr const char *MONITORED[] = {"/metrics", "/slots"};
// Headers of a client's request that are not for children.
constexpr const char *CLIENT_HEADERS[] = {"Authorization", "X-Api-Key",      "Cookie",
                                          "Origin",        "Sec-Fetch-Site", "Sec-Fetch-Mode"};

std::mutex message_mutex;

// By model, the last sentence of its child.
std::map<std::string, std::string> &last_messages() {
    static std::map<std::string, std::string> messages;
    return messages;
}

std::string random_key() {
    std::random_device source;
    std::string key;
    for (size_t i = 0; i < KEY_WORDS; ++i) {
        std::array<char, 9> word{};
        std::snprintf(word.data(), word.size(), "%08x", static_cast<unsigned>(source()));
        key += word.data();
    }
    return key;
}

std::string without_colours(std::string text) {
    for (size_t at = text.find(COLOUR); at != std::string::npos; at = text.find(COLOUR, at)) {
        text.erase(at, text.find('m', at) - at + 1);
    }
    return text;
}

bool has_device(const std::vector<std::string> &arguments) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [](const std::string &argument) { return argument == "--device" || argument == "-dev"; });
}

std::string devices_in_use() {
    std::vector<std::string> devices;
    for (const Gpu &gpu : gpus_in_use()) {
        devices.push_back(gpu.device);
    }
    return join(devices, ",");
}

std::string in_words(const std::vector<std::string> &names) {
    return names.empty() ? "it has none: give it some with --models-dir or --models-preset"
                         : "its models are " + join(names, ", ");
}

} // namespace

bool is_router(const common_params &params) {
    return params.model.path.empty() && params.model.url.empty() && params.model.hf_repo.empty() &&
           params.model.docker_repo.empty();
}

void address_to_child(httplib::Request &request) {
    for (const char *name : CLIENT_HEADERS) {
        request.headers.erase(name);
    }
    request.set_header("Authorization", "Bearer " + llamafile_child_key());
}

void hide_command_lines(httplib::Response &response) {
    common_json list = common_json::parse_no_throw(response.body);
    if (response.status != OK || !list.is_object() || !list.contains("data")) {
        return;
    }
    common_json models = common_json::array();
    for (const common_json &model : list.at("data")) {
        common_json shown = model;
        if (shown.contains("status") && shown.at("status").is_object()) {
            shown["status"].erase("args");
            shown["status"].erase("preset");
        }
        models.push_back(shown);
    }
    list["data"] = models;
    response.body = list.dump_safe();
}

std::vector<std::string> llamafile_child_command(const std::vector<std::string> &arguments) {
    std::vector<std::string> command = own_command();
    if (command.empty()) {
        throw std::runtime_error(
            "this system does not tell a program its path; start it by its path, as in ./x.llamafile");
    }
    command.insert(command.end(), arguments.begin(), arguments.end());
    if (is_sandbox_unwanted()) {
        command.emplace_back("--unsecure");
    }
    if (!llamafile_sealed()) {
        command.emplace_back("--unsealed");
    }
    const std::vector<std::string> cache = prompt_option_for_children();
    command.insert(command.end(), cache.begin(), cache.end());
    if (!gpus_in_use().empty() && !has_device(arguments)) {
        command.insert(command.end(), {"--device", devices_in_use()});
    }
    return command;
}

std::vector<std::string> llamafile_child_environment() {
    std::vector<std::string> variables = {std::string(CHILD_VARIABLE) + "=" + llamafile_child_key()};
    if (const std::string launcher = own_launcher(); !launcher.empty()) {
        variables.push_back(std::string(LAUNCHER_VARIABLE) + "=" + launcher);
    }
    if (const std::string files = prompt_variable_for_children(); !files.empty()) {
        variables.push_back(files);
    }
    return variables;
}

std::string llamafile_child_key() {
    static const std::string key = random_key();
    return key;
}

void llamafile_child_line(const std::string &model, const std::string &line) {
    std::string text = without_colours(line);
    text.erase(text.find_last_not_of(" \r\n") + 1); // npos + 1 is 0
    if (text.empty()) {
        return;
    }
    if (!text.starts_with(OWN_MESSAGE)) {
        std::fprintf(stderr, "[%s] %s\n", model.c_str(), text.c_str());
        return;
    }
    const std::string sentence = text.substr(sizeof OWN_MESSAGE - 1);
    log_line("[" + model + "] " + sentence);
    const std::lock_guard<std::mutex> lock(message_mutex);
    last_messages()[model] = sentence;
}

std::string llamafile_load_failure(const std::string &model) {
    const std::lock_guard<std::mutex> lock(message_mutex);
    const std::string &reason = last_messages()[model];
    return "the model '" + model + "' cannot be loaded: " + (reason.empty() ? "its process ended at once" : reason);
}

std::string llamafile_child_failure(const std::string &reason) {
    const std::string message =
        "the process of this model ended before its answer did (" + reason + "); the next request starts it again";
    common_json error = {{"message", message}, {"type", "server_error"}};
    error["param"] = nullptr;
    error["code"] = BAD_GATEWAY;
    return common_json{{"error", error}}.dump_safe();
}

std::string llamafile_default_model(const std::vector<std::string> &names) {
    const std::string &first = session().first_model;
    const bool is_listed = std::find(names.begin(), names.end(), first) != names.end();
    return is_listed || names.empty() ? first : names.front();
}

std::string llamafile_unknown_model(const std::string &name, const std::vector<std::string> &names) {
    return "there is no model '" + escape_controls(name) + "' at this server; " + in_words(names);
}

bool llamafile_loads_for(const std::string &path) {
    return std::none_of(std::begin(MONITORED), std::end(MONITORED),
                        [&](const char *end) { return path.ends_with(end); });
}

std::string llamafile_download_refusal(const std::string &name) {
    return "this server downloads nothing, because its program has no HTTPS: fetch '" + escape_controls(name) +
           "' with 'hf download', put the file into the folder of --models-dir, and GET /models?reload=1";
}

std::uint64_t llamafile_memory_of(const std::string &model, const std::string &projector) {
    const uint64_t size = weights_size(model) + (projector.empty() ? 0 : weights_size(projector));
    return size + size / 8; // for the context
}

bool llamafile_has_room(std::uint64_t taken, std::uint64_t wanted) {
    const uint64_t limit = session().models_memory;
    if (limit != 0) {
        return taken + wanted <= limit;
    }
    return !gpus_in_use().empty() || wanted <= available_memory(); // a GPU has memory of its own
}
