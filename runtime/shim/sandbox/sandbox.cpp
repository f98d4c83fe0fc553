#include "sandbox/sandbox.h"

#include "archive/container.h"
#include "base/message.h"
#include "common.h"
#include "hooks/hooks.h"
#include "log.h"
#include "sandbox/sandbox_rights.h"

#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

namespace {

using Paths = std::vector<std::string>;

struct Plan {
    bool off = false;
    bool made = false;
    bool said_weakness = false;
    bool serves = false;
    Rights serving; // once the model is loaded
};

Plan plan;

// What any program reads: its own state, the machine's shape, time zones, chance.
constexpr const char *SYSTEM_FILES[] = {
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/kernel/numa_balancing",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
};

constexpr const char *RESOLVER_FILES[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/services"};

constexpr const char TERMINAL[] = "/dev/tty";

bool ends_with(const std::string &text, const std::string &end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string folder_of(const std::string &path) {
    const size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// The other files of a model that is split: NAME-00001-of-00003.gguf.
Paths parts_of(const std::string &model) {
    constexpr size_t TAIL = sizeof "-00001-of-00003.gguf" - 1;
    Paths parts;
    int first = 0;
    int count = 0;
    int length = 0;
    if (model.size() > TAIL &&
        std::sscanf(model.c_str() + model.size() - TAIL, "-%5d-of-%5d.gguf%n", &first, &count, &length) == 2 &&
        length == static_cast<int>(TAIL)) {
        for (int part = 1; part <= count; ++part) {
            char tail[TAIL + 1];
            std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", part, count);
            parts.push_back(model.substr(0, model.size() - TAIL) + tail);
        }
    }
    return parts;
}

void append(Paths &paths, const Paths &more) {
    paths.insert(paths.end(), more.begin(), more.end());
}

bool is_fetched(const common_params_model &model) {
    return !model.url.empty() || !model.hf_repo.empty() || !model.docker_repo.empty();
}

// A file that is to be written must be there: the right to make one would be a right to its whole folder.
std::string made_file(const std::string &path) {
    if (std::FILE *file = path.empty() ? nullptr : std::fopen(path.c_str(), "ab")) {
        std::fclose(file);
    }
    return path;
}

Paths model_files(const common_params &params) {
    Paths names = {params.model.path, params.mmproj.path, params.speculative.draft.mparams.path,
                   params.speculative.ngram_cache.lookup_cache_static,
                   params.speculative.ngram_cache.lookup_cache_dynamic};
    for (const common_adapter_lora_info &adapter : params.lora_adapters) {
        names.push_back(adapter.path);
    }
    for (const common_control_vector_load_info &vector : params.control_vectors) {
        names.push_back(vector.fname);
    }
    Paths files = {"/proc/self/exe", Container::instance().location()};
    for (const std::string &name : names) {
        files.push_back(llamafile_disk_file(name));
        append(files, parts_of(name));
    }
    return files;
}

// The option that cannot work in a sandbox: it starts programs, or calls other machines.
std::string boundless_option(const common_params &params, Mode mode) {
    const bool serves = mode != Mode::COMPLETION;
    if (serves && !params.server_base.empty()) {
        return "--server-base";
    }
    if (serves && (!params.mcp_servers_config.empty() || !params.mcp_servers_json.empty())) {
        return "--mcp-servers-config or --mcp-servers-json";
    }
    if (serves && !params.server_tools.empty()) {
        return "--tools";
    }
    if (serves && params.ui_mcp_proxy) {
        return "--ui-mcp-proxy";
    }
    const bool named = !params.model.path.empty() || is_fetched(params.model);
    return serves && !named ? "serving several models" : "";
}

// Fetched by the engine when the server starts; in the other modes, when the options are parsed.
bool fetches_weights(const common_params &params, Mode mode) {
    return mode == Mode::SERVER &&
           (is_fetched(params.model) || is_fetched(params.mmproj) || is_fetched(params.speculative.draft.mparams));
}

// What a server reads and writes after its start, because it is asked to; each is named to the user.
void keep_path(Paths &paths, bool &right, std::string &kept, const std::string &path, const std::string &what) {
    if (!path.empty()) {
        paths.push_back(path);
        right = true;
        kept += (kept.empty() ? "" : ", ") + what + " '" + path + "'";
    }
}

Rights serving_rights(const common_params &params, Mode mode, std::string &kept) {
    Rights rights;
    rights.serve = true;
    rights.connect = mode == Mode::CHAT;
    rights.port = params.port;
    keep_path(rights.readable, rights.read_files, kept, params.public_path, "reading in --path");
    keep_path(rights.readable, rights.read_files, kept, params.media_path, "reading in --media-path");
    keep_path(rights.writable, rights.write_files, kept, params.slot_save_path, "writing in --slot-save-path");
    keep_path(rights.writable, rights.write_files, kept, params.path_prompts_log_dir, "writing in --log-prompts-dir");
    if (mode == Mode::CHAT) {
        keep_path(rights.writable, rights.write_files, kept, made_file(params.out_file), "writing --output");
        for (const std::string &image : params.image) {
            keep_path(rights.readable, rights.read_files, kept, image, "reading --image");
        }
    }
    if (params.sleep_idle_seconds > 0) {
        rights.read_files = true;
        kept += std::string(kept.empty() ? "" : ", ") + "reading the weights again (--sleep-idle-seconds)";
    }
    rights.read_files |= rights.write_files;
    return rights;
}

// Everything that serving needs too, and what it takes to get there.
Rights loading_rights(const common_params &params, Mode mode, const Rights &serving) {
    Rights rights = serving;
    rights.serve = rights.listen = rights.tighten = mode != Mode::COMPLETION;
    rights.connect = mode == Mode::CHAT;
    rights.read_files = true;
    append(rights.readable, model_files(params));
    append(rights.readable, {std::begin(SYSTEM_FILES), std::end(SYSTEM_FILES)});
    if (mode == Mode::COMPLETION) {
        append(rights.readable, params.image);
        append(params.prompt_cache_ro ? rights.readable : rights.writable,
               {params.prompt_cache_ro ? params.path_prompt_cache : made_file(params.path_prompt_cache)});
        rights.write_files = !params.path_prompt_cache.empty() && !params.prompt_cache_ro;
        return rights;
    }
    if (mode == Mode::CHAT) {
        rights.writable.emplace_back(TERMINAL);
    }
    for (const std::string &host : params.hostnames) {
        if (ends_with(host, ".sock")) {
            rights.writable.push_back(folder_of(host));
        } else if (host.find_first_not_of("0123456789abcdefABCDEF.:[]") != std::string::npos) {
            rights.resolve = true;
        }
    }
    if (rights.resolve) {
        append(rights.readable, {std::begin(RESOLVER_FILES), std::end(RESOLVER_FILES)});
    }
    return rights;
}

void say_once(Confinement result, const std::string &weakness) {
    if (result == Confinement::FULL || plan.said_weakness) {
        return;
    }
    plan.said_weakness = true;
    complain("the sandbox is weaker than it could be: " + weakness + "; --unsecure turns it off, and this line");
}

void confine(const Rights &rights) {
    std::string weakness;
    if (confine_calls(rights, weakness) == Confinement::NONE) {
        plan.off = true;
        complain("there is no sandbox: " + weakness +
                 ", so the engine may do whatever you may; --unsecure says that"
                 " this is known");
        return;
    }
    if (!weakness.empty()) {
        say_once(Confinement::WEAKER, weakness);
    }
}

void confine_loading(Rights rights, Mode mode) {
    std::string weakness;
    const Confinement paths = confine_paths(rights, weakness);
    rights.write_files |= mode == Mode::CHAT && paths != Confinement::NONE; // the terminal, which is opened by name
    confine(rights);
    if (!plan.off) { // or else it has been said that there is nothing at all
        say_once(paths, weakness);
    }
}

} // namespace

void stay_unconfined() {
    plan.off = true;
}

void confine_before_model(const common_params &params, Mode mode) {
    if (plan.made) {
        return;
    }
    plan.made = true;
    const std::string boundless = plan.off ? "" : boundless_option(params, mode);
    if (!boundless.empty()) {
        plan.off = true;
        complain("the sandbox is off: " + boundless + " needs other programs or machines");
    }
    if (plan.off) {
        return;
    }
    std::string kept;
    plan.serving = serving_rights(params, mode, kept);
    plan.serves = mode != Mode::COMPLETION;
    if (fetches_weights(params, mode)) {
        complain("the sandbox closes when the weights are fetched and loaded");
    } else {
        common_log_pause(common_log_main()); // its thread would stay outside
        confine_loading(loading_rights(params, mode, plan.serving), mode);
        common_log_resume(common_log_main());
    }
    if (!plan.off && !kept.empty()) {
        complain("the sandbox leaves open: " + kept);
    }
    if (!plan.off && mode == Mode::CHAT) {
        complain("in its sandbox the chat opens no files: /read, /glob, /image and /audio need --unsecure");
    }
}

void confine_serving() {
    if (!plan.off && plan.serves) {
        confine(plan.serving);
    }
}
