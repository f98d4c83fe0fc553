#include "engine/engine_log.h"

#include "base/message.h"
#include "base/terminal.h"
#include "cpu/cpu_variant.h"
#include "ggml.h"
#include "gpu/gpu.h"
#include "llama.h"
#include "log.h"
#include "mtmd-helper.h"

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

std::mutex error_mutex;
std::string first_error;
bool is_quiet = false;

// The message in "function_name: message\nadvice\n".
std::string message_of(const std::string &text) {
    const std::string line = text.substr(0, text.find('\n'));
    const size_t end = line.find_last_not_of(" \n");
    std::string message = end == std::string::npos ? std::string() : line.substr(0, end + 1);
    const size_t colon = message.find(": ");
    if (colon != std::string::npos && message.find(' ') > colon) {
        message.erase(0, colon + 2);
    }
    return message;
}

// The engine may compute fewer layers on a GPU than asked for, and says so among much else.
void report_layers(const char *text) {
    constexpr const char BEFORE[] = "offloaded ";
    const char *found = std::strstr(text, BEFORE);
    if (found == nullptr || gpus_in_use().empty()) {
        return;
    }
    char *slash = nullptr;
    const long on_gpu = std::strtol(found + sizeof BEFORE - 1, &slash, 10);
    const long all = *slash == '/' ? std::strtol(slash + 1, nullptr, 10) : 0;
    if (on_gpu < all) {
        log_line("the GPU computes " + std::to_string(on_gpu) + " of " + std::to_string(all) +
                 " layers, the CPU the others");
    }
}

void receive(ggml_log_level level, const char *text, void *user_data) {
    report_layers(text);
    if (level == GGML_LOG_LEVEL_ERROR) {
        const std::lock_guard<std::mutex> lock(error_mutex);
        if (first_error.empty()) {
            first_error = message_of(text);
        }
    }
    if (!is_quiet) {
        common_log_default_callback(level, text, user_data);
    }
}

// Replaces abort(): a failed assertion about a model is an error in the model's file, not a crash.
void exit_on_assertion(const char *message) {
    log_line(std::string("the engine cannot go on; the model may be damaged: ") + message);
    restore_terminal();
    std::_Exit(1);
}

} // namespace

void capture_engine_log(bool quiet) {
    is_quiet = quiet;
    ggml_set_abort_callback(exit_on_assertion);
    if (quiet) {
        common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT - 1); // silences the engine's front end too
    }
    LOG_INF("computing with the variant for: %s\n", cpu_variant());
    for (const Gpu &gpu : gpus_in_use()) {
        LOG_INF("computing with %s: %s\n", gpu.device.c_str(), gpu.name.c_str());
    }
    llama_log_set(receive, nullptr);
    mtmd_helper_log_set(receive, nullptr);
}

std::string first_engine_error() {
    const std::lock_guard<std::mutex> lock(error_mutex);
    return first_error;
}
