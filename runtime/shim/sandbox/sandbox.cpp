#include "sandbox/sandbox.h"

#include "archive/own_container.h"
#include "archive/shard_name.h"
#include "base/message.h"
#include "base/text.h"
#include "common.h"
#include "gpu/gpu.h"
#include "hooks/hooks.h"
#include "log.h"
#include "prompts/keeping.h"
#include "rpc/workers.h"
#include "sandbox/confinement.h"
#include "sandbox/driver_rights.h"
#include "sandbox/router_rights.h"

#include <iterator>
#include <string>
#include <vector>

namespace {

using Paths = std::vector<std::string>;
using Strength = Confinement::Strength;

// The kernel's limits apply to the process, so there is one sandbox.
struct Sandbox {
    bool is_off = false;
    bool is_unwanted = false;
    bool is_prepared = false;
    bool has_reported_weakness = false;
    bool serves = false;
    Rights loading_rights;
    Rights serving_rights; // after the model is loaded
};

Sandbox sandbox;

// Read by every program: its own state, the machine's topology, time zones, random numbers.
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

std::string folder_of(const std::string &path) {
    const size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

Paths shards_of(const std::string &model) {
    Paths shards;
    if (const std::optional<ShardName> name = parse_shard_name(model)) {
        for (int number = 1; number <= name->count; ++number) {
            shards.push_back(shard_path(*name, number));
        }
    }
    return shards;
}

void append(Paths &paths, const Paths &more) {
    paths.insert(paths.end(), more.begin(), more.end());
}

bool is_fetched(const common_params_model &model) {
    return !model.url.empty() || !model.hf_repo.empty() || !model.docker_repo.empty();
}

// Creates an output file: the right to create it later would be a right to its whole folder.
std::string create_file(const std::string &path) {
    const File file(path.empty() ? nullptr : std::fopen(path.c_str(), "ab"));
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
    Paths files = {"/proc/self/exe", own_container()->location()};
    for (const std::string &name : names) {
        files.push_back(llamafile_disk_file(name));
        append(files, shards_of(name));
    }
    return files;
}

bool is_router(const common_params &params, Mode mode) {
    return mode == Mode::SERVER && params.model.path.empty() && !is_fetched(params.model);
}

// The option that cannot work in a sandbox, because it starts programs or connects to other machines; empty if none is
// set.
std::string unconfinable_option(const common_params &params, Mode mode) {
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
    return is_router(params, mode) && !gpus_in_use().empty() ? "serving several models with a GPU" : "";
}

// The engine downloads them when the server starts; in the other modes, when the options are parsed.
bool fetches_weights(const common_params &params, Mode mode) {
    return mode == Mode::SERVER &&
           (is_fetched(params.model) || is_fetched(params.mmproj) || is_fetched(params.speculative.draft.mparams));
}

struct ServingRights {
    Rights rights;
    std::vector<std::string> exceptions; // for the user: the rights that options keep

    void keep_readable(const std::string &path, const std::string &action) {
        keep(rights.readable, rights.read_files, path, action);
    }

    void keep_writable(const std::string &path, const std::string &action) {
        keep(rights.writable, rights.write_files, path, action);
    }

  private:
    void keep(Paths &paths, bool &right, const std::string &path, const std::string &action) {
        if (!path.empty()) {
            paths.push_back(path);
            right = true;
            exceptions.push_back(action + " '" + path + "'");
        }
    }
};

ServingRights serving_rights(const common_params &params, Mode mode) {
    ServingRights serving;
    Rights &rights = serving.rights;
    rights.serve = true;
    rights.keep_files = has_prompt_files();
    rights.connect = mode == Mode::CHAT;
    rights.port = params.port;
    serving.keep_readable(params.public_path, "reading in --path");
    serving.keep_readable(params.media_path, "reading in --media-path");
    serving.keep_writable(params.slot_save_path, "writing in --slot-save-path");
    serving.keep_writable(params.path_prompts_log_dir, "writing in --log-prompts-dir");
    if (mode == Mode::CHAT) {
        serving.keep_writable(create_file(params.out_file), "writing --output");
        for (const std::string &image : params.image) {
            serving.keep_readable(image, "reading --image");
        }
    }
    if (params.sleep_idle_seconds > 0) {
        rights.read_files = true;
        serving.exceptions.emplace_back("reading the weights again (--sleep-idle-seconds)");
    }
    rights.read_files |= rights.write_files;
    if (!gpus_in_use().empty()) {
        add_driver_rights(rights);
    }
    if (is_router(params, mode)) {
        rights.listen = rights.tighten = true; // for its children
        add_router_rights(params, rights);
        serving.exceptions.emplace_back(ROUTER_WEAKNESS);
    }
    return serving;
}

// The rights to serve, and those to load the model before.
Rights loading_rights(const common_params &params, Mode mode, const Rights &serving) {
    Rights rights = serving;
    rights.serve = rights.listen = rights.tighten = mode != Mode::COMPLETION;
    rights.read_files = true;
    append(rights.readable, model_files(params));
    append(rights.readable, {std::begin(SYSTEM_FILES), std::end(SYSTEM_FILES)});
    if (mode == Mode::COMPLETION) {
        append(rights.readable, params.image);
        append(params.prompt_cache_ro ? rights.readable : rights.writable,
               {params.prompt_cache_ro ? params.path_prompt_cache : create_file(params.path_prompt_cache)});
        rights.write_files |= !params.path_prompt_cache.empty() && !params.prompt_cache_ro;
        return rights;
    }
    if (mode == Mode::CHAT) {
        rights.writable.emplace_back(TERMINAL);
    }
    for (const std::string &host : params.hostnames) {
        if (host.ends_with(".sock")) {
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

void report_weakness(const Confinement &result) {
    if (result.strength == Strength::FULL || sandbox.has_reported_weakness) {
        return;
    }
    sandbox.has_reported_weakness = true;
    log_line("the sandbox is weaker than it could be: " + result.weakness + "; --unsecure turns it off, and this line");
}

void confine(const Rights &rights) {
    const Confinement result = confine_calls(rights);
    if (result.strength == Strength::NONE) {
        sandbox.is_off = true;
        log_line("there is no sandbox: " + result.weakness +
                 ", so the engine may do whatever you may; --unsecure says that"
                 " this is known");
        return;
    }
    report_weakness(result);
}

void confine_loading(Rights rights, Mode mode) {
    const Confinement paths = confine_paths(rights);
    sandbox.loading_rights = rights;
    confine_worker_threads([] { confine_paths(sandbox.loading_rights); });
    rights.write_files |= mode == Mode::CHAT && paths.strength != Strength::NONE; // the terminal, opened by name
    confine(rights);
    if (!sandbox.is_off) { // otherwise confine() has reported that there is no sandbox
        report_weakness(paths);
    }
}

} // namespace

void disable_sandbox() {
    sandbox.is_off = sandbox.is_unwanted = true;
}

bool is_sandbox_unwanted() {
    return sandbox.is_unwanted;
}

void confine_before_model(const common_params &params, Mode mode) {
    if (sandbox.is_prepared) {
        return;
    }
    sandbox.is_prepared = true;
    const std::string unconfinable = sandbox.is_off ? "" : unconfinable_option(params, mode);
    if (!unconfinable.empty()) {
        sandbox.is_off = true;
        log_line("the sandbox is off: " + unconfinable + " needs other programs or machines");
    }
    if (sandbox.is_off) {
        return;
    }
    const ServingRights serving = serving_rights(params, mode);
    sandbox.serving_rights = serving.rights;
    sandbox.serves = mode != Mode::COMPLETION;
    if (fetches_weights(params, mode)) {
        log_line("the sandbox closes when the weights are fetched and loaded");
    } else {
        common_log_pause(common_log_main()); // its thread would stay unconfined
        confine_loading(loading_rights(params, mode, serving.rights), mode);
        common_log_resume(common_log_main());
    }
    if (!sandbox.is_off && !gpus_in_use().empty()) {
        log_line(std::string("the sandbox is weaker with a GPU: ") + DRIVER_WEAKNESS);
    }
    if (!sandbox.is_off && !serving.exceptions.empty()) {
        log_line("the sandbox leaves open: " + join(serving.exceptions, ", "));
    }
    if (!sandbox.is_off && mode == Mode::CHAT) {
        log_line("in its sandbox the chat opens no files: /read, /glob, /image and /audio need --unsecure");
    }
}

void confine_serving() {
    if (!sandbox.is_off && sandbox.serves) {
        confine(sandbox.serving_rights);
    }
}
