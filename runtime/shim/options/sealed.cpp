#include "options/sealed.h"

#include "hooks/hooks.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#ifdef _WIN32
#define environ _environ
#else
#include <unistd.h>
extern char **environ; // macOS and the BSDs have it, but not in a header
#endif

namespace {

bool is_sealed = false;

// What the engine reads begins like this. Variables that say where a user's files belong, or what his terminal can do,
// are not among them; nor are those of GPU drivers, with which he chooses among his devices.
constexpr const char *PREFIXES[] = {"LLAMA_", "GGML_", "HF_",         "HUGGINGFACE_",
                                    "AIP_",   "MTMD_", "LLGUIDANCE_", "MODEL_ENDPOINT"};

void remove_variable(const std::string &name) {
#ifdef _WIN32
    _putenv_s(name.c_str(), "");
#else
    unsetenv(name.c_str());
#endif
}

void clean_environment() {
    std::vector<std::string> names;
    for (char **variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string text = *variable;
        if (std::any_of(std::begin(PREFIXES), std::end(PREFIXES),
                        [&](const char *prefix) { return text.rfind(prefix, 0) == 0; })) {
            names.push_back(text.substr(0, text.find('=')));
        }
    }
    for (const std::string &name : names) {
        remove_variable(name);
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
