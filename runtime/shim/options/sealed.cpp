#include "options/sealed.h"

#include "base/environment.h"
#include "base/router_child.h"
#include "hooks/hooks.h"

#include <algorithm>
#include <string>

namespace {

bool is_sealed = false;

// Prefixes of the variables that the engine reads, except those for the places of a user's files, for the abilities of
// the terminal, and those of GPU drivers, which select among a user's devices.
constexpr const char *PREFIXES[] = {"LLAMA_", "GGML_", "HF_",         "HUGGINGFACE_",
                                    "AIP_",   "MTMD_", "LLGUIDANCE_", "MODEL_ENDPOINT"};

// Tells the engine that its process is a router's child.
constexpr const char ROUTER_VARIABLE[] = "LLAMA_SERVER_ROUTER_PORT";

void clean_environment() {
    for (const std::string &name : variable_names()) {
        if (is_router_child() && name == ROUTER_VARIABLE) {
            continue;
        }
        if (std::any_of(std::begin(PREFIXES), std::end(PREFIXES),
                        [&](const char *prefix) { return name.starts_with(prefix); })) {
            remove_variable(name);
        }
    }
}

} // namespace

void seal(bool sealed) {
    is_sealed = sealed;
    if (sealed) {
        clean_environment();
    }
}

bool llamafile_sealed() {
    return is_sealed;
}
