#include "options/flags.h"

#include "base/csv.h"
#include "base/origin.h"
#include "base/text.h"
#include "base/user_error.h"
#include "options/gpu_flags.h"
#include "options/system_prompt.h"
#include "options/translation.h"
#include "options/value_domain.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace {

bool is_number(const std::string &text) {
    char *end = nullptr;
    std::strtod(text.c_str(), &end);
    return !text.empty() && *end == '\0';
}

bool is_count(const std::string &text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

// Numbers of values.

size_t none(const Arguments &) {
    return 0;
}

size_t one(const Arguments &) {
    return 1;
}

size_t state(const Arguments &rest) {
    static const std::set<std::string> states = {"on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto"};
    return !rest.empty() && states.count(rest[0]) != 0;
}

size_t count(const Arguments &rest) {
    return !rest.empty() && is_count(rest[0]);
}

size_t numa_strategy(const Arguments &rest) {
    return !rest.empty() && (rest[0] == "distribute" || rest[0] == "isolate" || rest[0] == "numactl");
}

// FILE:SCALE, which is the engine's form, or FILE SCALE.
size_t file_and_scale(const Arguments &rest) {
    const bool is_joined = !rest.empty() && is_number(rest[0].substr(rest[0].rfind(':') + 1));
    return rest.size() > 1 && !is_joined && is_number(rest[1]) ? 2 : 1;
}

// Translations.

void handled_before(Translator &, const Flag &, const Option &) {}

void no_effect(Translator &to, const Flag &flag, const Option &option) {
    to.remark(option.name, flag.note);
}

void renamed(Translator &to, const Flag &flag, const Option &option) {
    to.pass(flag.engine, option.values);
}

void switched(Translator &to, const Flag &flag, const Option &option) {
    to.pass(flag.engine, option.values.empty() ? Arguments{"on"} : option.values);
}

void numa(Translator &to, const Flag &flag, const Option &option) {
    to.pass(flag.engine, option.values.empty() ? Arguments{"distribute"} : option.values);
}

void no_browser(Translator &to, const Flag &, const Option &) {
    to.launch_options().opens_browser = false;
}

void no_sandbox(Translator &to, const Flag &, const Option &) {
    to.launch_options().has_sandbox = false;
}

void allowed_origins(Translator &to, const Flag &, const Option &option) {
    if (to.context().mode == Mode::COMPLETION) {
        to.remark(option.name, "the command line has no server");
        return;
    }
    for (const std::string &origin : split_csv(option.values[0])) {
        if (!is_allowable_origin(origin)) {
            to.refuse("'" + option.name + "' takes the origin of a web page, such as https://app.example, or *, not '" +
                      origin + "'");
        }
        to.launch_options().allowed_origins.push_back(origin);
    }
}

void shutdown_limit(Translator &to, const Flag &, const Option &option) {
    if (to.context().mode == Mode::SERVER) {
        to.launch_options().shutdown_seconds = std::stoi(option.values[0]);
    } else {
        to.remark(option.name, to.context().mode == Mode::CHAT ? "the server beside the chat ends with it"
                                                               : "the command line has no server");
    }
}

void models_memory(Translator &to, const Flag &, const Option &option) {
    to.launch_options().models_memory = std::stoull(option.values[0]) << 20;
}

void disk_cache(Translator &to, const Flag &, const Option &option) {
    if (to.context().mode == Mode::COMPLETION) {
        to.remark(option.name, "the command line keeps a prompt where --prompt-cache says");
    } else {
        to.launch_options().disk_cache_mebibytes = std::stoi(option.values[0]);
    }
}

void workers(Translator &to, const Flag &, const Option &option) {
    to.launch_options().workers = option.values[0];
}

void worker_seconds(Translator &to, const Flag &, const Option &option) {
    to.launch_options().worker_seconds = std::stoi(option.values[0]);
}

void locked(Translator &to, const Flag &, const Option &) {
    to.set_locked();
}

void unmapped(Translator &to, const Flag &, const Option &) {
    to.set_mapped(false);
}

void mapped(Translator &to, const Flag &, const Option &) {
    to.set_mapped(true);
}

void context_size(Translator &to, const Flag &flag, const Option &option) {
    const std::string &value = option.values[0];
    const bool is_in_kibi = lower_case(value).back() == 'k';
    to.pass(flag.engine, {is_in_kibi ? std::to_string(std::stoi(value) * 1024) : value});
}

void listen(Translator &to, const Flag &, const Option &option) {
    const std::string &address = option.values[0];
    const std::string reason = value_refusal("--listen", option.values); // for -l too
    if (!reason.empty()) {
        to.refuse(reason);
        return;
    }
    const size_t colon = address.rfind(':');
    const std::string host = address.substr(0, colon);
    if (!host.empty()) {
        to.pass("--host", {host});
    }
    to.pass("--port", {address.substr(colon + 1)});
}

// -l has two meanings: an address contains a colon, a token's bias a sign.
void listen_or_bias(Translator &to, const Flag &flag, const Option &option) {
    if (option.values[0].find(':') != std::string::npos) {
        listen(to, flag, option);
    } else {
        to.pass(option.name, option.values);
    }
}

// The engine's completion has this option too, and would compute several texts.
void on_server(Translator &to, const Flag &, const Option &option) {
    if (to.context().mode == Mode::COMPLETION) {
        to.remark(option.name, "on the command line there is one text");
    } else {
        to.pass("--parallel", option.values);
    }
}

// Without a value, the engine's switch for the endpoint that shows slots; with one, the number of slots.
void slots(Translator &to, const Flag &flag, const Option &option) {
    if (option.values.empty()) {
        to.pass(option.name);
    } else {
        on_server(to, flag, option);
    }
}

void scaled(Translator &to, const Flag &flag, const Option &option) {
    to.pass(flag.engine, {option.values.size() < 2 ? option.values[0] : option.values[0] + ":" + option.values[1]});
}

void full_precision(Translator &to, const Flag &, const Option &) {
    to.pass("--cache-type-k", {"f32"});
    to.pass("--cache-type-v", {"f32"});
}

void some_prompt(Translator &to, const Flag &flag, const Option &) {
    to.pass(flag.engine, {"Once upon a time"});
}

const char TEMPLATES[] = "--chat talks in the form that the model's own template gives";

// The engine's completion has these options too, but would then run a chat instead of continuing a text.
void in_conversation(Translator &to, const Flag &flag, const Option &option) {
    if (to.context().mode == Mode::COMPLETION) {
        to.remark(option.name, TEMPLATES);
    } else {
        to.pass(flag.engine, option.values);
    }
}

void system_prompt_file(Translator &to, const Flag &flag, const Option &option) {
    if (to.context().mode != Mode::SERVER) {
        in_conversation(to, flag, option);
        return;
    }
    try {
        to.pass("--ui-config", {page_settings(option.values[0])});
    } catch (const UserError &error) {
        to.refuse(error.what());
    }
}

const char FIXED_LOG[] = "the log goes to standard error, or where --log-file says";
const char NO_COMPILER[] = "nothing is compiled where a llamafile runs";
const char NO_GUIDANCE[] = "the engine no longer has classifier-free guidance";
const char NO_LIMITS[] = "the server does not limit its clients";
const char NO_LOGO[] = "the chat begins without a picture";

const std::vector<Flag> FLAGS = {
    // Llamafile's own; those that launch.cpp handles are first.
    {{"--help", "-h", "-help", "--usage"}, none, handled_before, "", ""},
    {{"--help-engine"}, none, handled_before, "", ""},
    {{"--version"}, none, handled_before, "", ""},
    {{"--gpu-info"}, none, handled_before, "", ""},
    {{"--gpu-info-json"}, none, handled_before, "", ""},
    {{"--server", "--v2"}, none, handled_before, "", ""},
    {{"--cli"}, none, handled_before, "", ""},
    {{"--chat"}, none, handled_before, "", ""},
    {{"--unsealed"}, none, handled_before, "", ""},
    {{"--nobrowser"}, none, no_browser, "", ""},
    {{"--unsecure"}, none, no_sandbox, "", ""},
    {{"--gpu"}, one, gpu, "", ""},
    {{"--rpc"}, one, workers, "", ""},
    {{"--rpc-wait"}, one, worker_seconds, "", ""},
    {{"--allow-origin", "--cors-origins"}, one, allowed_origins, "", ""},
    {{"--shutdown-seconds"}, one, shutdown_limit, "", ""},
    {{"--models-memory"}, one, models_memory, "", ""},
    {{"--cache-disk"}, one, disk_cache, "", ""},

    // Other names and other forms.
    {{"--silent-prompt"}, none, renamed, "--no-display-prompt", ""},
    {{"--url-prefix"}, one, renamed, "--api-prefix", ""},
    {{"--www-root"}, one, renamed, "--path", ""},
    {{"--slots-endpoint-disable"}, none, renamed, "--no-slots", ""},
    {{"--draft", "--draft-n", "--draft-max"}, one, renamed, "--spec-draft-n-max", ""},
    {{"--draft-min", "--draft-n-min"}, one, renamed, "--spec-draft-n-min", ""},
    {{"--p-split", "-ps"}, one, renamed, "--spec-draft-p-split", ""},
    {{"--color", "-co"}, state, switched, "--color", ""},
    {{"--flash-attn", "-fa"}, state, switched, "--flash-attn", ""},
    {{"--numa"}, numa_strategy, numa, "--numa", ""},
    {{"--mlock"}, none, locked, "", ""},
    {{"--no-mmap"}, none, unmapped, "", ""},
    {{"--mmap"}, none, mapped, "", ""},
    {{"--ctx-size", "-c"}, one, context_size, "--ctx-size", ""},
    {{"--n-gpu-layers", "--gpu-layers", "-ngl"}, one, on_gpu, "", ""},
    {{"--n-gpu-layers-draft", "--gpu-layers-draft", "-ngld", "--spec-draft-ngl"}, one, on_gpu, "", ""},
    {{"--tensor-split", "-ts"}, one, on_gpu, "", ""},
    {{"--split-mode", "-sm"}, one, on_gpu, "", ""},
    {{"--main-gpu", "-mg"}, one, on_gpu, "", ""},
    {{"--listen"}, one, listen, "", ""},
    {{"-l"}, one, listen_or_bias, "", ""},
    {{"--parallel", "-np"}, one, on_server, "", ""},
    {{"--slots"}, count, slots, "", ""},
    {{"--lora-scaled"}, file_and_scale, scaled, "--lora-scaled", ""},
    {{"--control-vector-scaled"}, file_and_scale, scaled, "--control-vector-scaled", ""},
    {{"--memory-f32"}, none, full_precision, "", ""},
    {{"--random-prompt"}, none, some_prompt, "--prompt", ""},
    {{"--conversation", "-cnv"}, none, in_conversation, "--conversation", ""},
    {{"--single-turn", "-st"}, none, in_conversation, "--single-turn", ""},
    {{"--system-prompt", "-sys"}, one, in_conversation, "--system-prompt", ""},
    {{"--system-prompt-file", "-spf", "-sysf"}, one, system_prompt_file, "--system-prompt-file", ""},

    // Without effect.
    {{"--recompile"}, none, no_effect, "", NO_COMPILER},
    {{"--nocompile"}, none, no_effect, "", NO_COMPILER},
    {{"--tinyblas"}, none, no_effect, "", NO_COMPILER},
    {{"--mul-mat-q", "-mmq"}, none, no_effect, "", NO_COMPILER},
    {{"--no-mul-mat-q", "-nommq"}, none, no_effect, "", NO_COMPILER},
    {{"--low-vram"}, none, no_effect, "", "the engine sees itself what fits into a GPU"},
    {{"--precise"}, none, no_effect, "", "there is one precision, the engine's"},
    {{"--fast"}, none, no_effect, "", "there is one precision, the engine's"},
    {{"--iq"}, none, no_effect, "", "all quantizations are always there"},
    {{"--trap"}, none, no_effect, "", "floating point errors are not trapped"},
    {{"--trace"}, none, no_effect, "", "calls are not traced"},
    {{"--logdir", "-ld"}, one, no_effect, "", FIXED_LOG},
    {{"--log-test"}, none, no_effect, "", FIXED_LOG},
    {{"--log-enable"}, none, no_effect, "", FIXED_LOG},
    {{"--log-new"}, none, no_effect, "", FIXED_LOG},
    {{"--log-append"}, none, no_effect, "", FIXED_LOG},
    {{"--log-format"}, one, no_effect, "", "the log is text; --log-jsonl makes it JSON"},
    {{"--cfg-negative-prompt"}, one, no_effect, "", NO_GUIDANCE},
    {{"--cfg-negative-prompt-file"}, one, no_effect, "", NO_GUIDANCE},
    {{"--cfg-scale"}, one, no_effect, "", NO_GUIDANCE},
    {{"--tfs"}, one, no_effect, "", "the engine no longer has tail-free sampling; --min-p and --typical are near it"},
    {{"--penalize-nl"}, none, no_effect, "", "newlines are penalised like any token"},
    {{"--no-penalize-nl"}, none, no_effect, "", "newlines are penalised like any token"},
    {{"--instruct", "-ins"}, none, no_effect, "", TEMPLATES},
    {{"--chatml", "-cml"}, none, no_effect, "", TEMPLATES},
    {{"--lora-base"}, one, no_effect, "", "adapters apply to the model itself"},
    {{"--logits-all"}, none, no_effect, "", "the engine computes the logits that are requested"},
    {{"--dump-kv-cache", "-dkvc"}, none, no_effect, "", "the engine no longer prints its cache"},
    {{"--ascii"}, none, no_effect, "", NO_LOGO},
    {{"--nologo"}, none, no_effect, "", NO_LOGO},
    {{"--chatbot-mode"}, none, no_effect, "", "--chat is the chat"},
    {{"--completion-mode"}, none, no_effect, "", "-p continues a text"},
    {{"--workers", "-w"}, one, no_effect, "", "the server has as many threads as it has clients"},
    {{"--keepalive", "-k"}, one, no_effect, "", "connections are kept as long as clients want"},
    {{"--trust"}, one, no_effect, "", NO_LIMITS},
    {{"--token-rate"}, one, no_effect, "", NO_LIMITS},
    {{"--token-burst"}, one, no_effect, "", NO_LIMITS},
    {{"--token-cidr"}, one, no_effect, "", NO_LIMITS},
    {{"--ip-header"}, one, no_effect, "", NO_LIMITS},
    {{"-H"}, one, no_effect, "", "the server sends no other headers"},
    {{"--db"}, one, no_effect, "", "the server keeps no database"},
    {{"--db-startup-sql"}, one, no_effect, "", "the server keeps no database"},
};

} // namespace

const std::vector<Flag> &all_flags() {
    return FLAGS;
}

bool Flag::is_other_name() const {
    return translate == renamed;
}

const Flag *find_flag(const std::string &name) {
    const auto found = std::find_if(FLAGS.begin(), FLAGS.end(), [&](const Flag &flag) {
        return std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end();
    });
    return found == FLAGS.end() ? nullptr : &*found;
}
