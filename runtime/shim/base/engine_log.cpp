#include "base/engine_log.h"

#include "base/message.h"
#include "cpu/cpu_variant.h"
#include "ggml.h"
#include "llama.h"
#include "log.h"
#include "mtmd-helper.h"

#include <cstdlib>
#include <mutex>

namespace {

std::mutex error_mutex;
std::string first_error;
bool is_quiet = false;

// "function_name: what happened\nadvice\n" without all but what happened.
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

void receive(ggml_log_level level, const char *text, void *user_data) {
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

// The engine asserts what it believes of a model. That a file made it wrong is an error of the file, not a crash.
void give_up(const char *message) {
    complain(std::string("the engine cannot go on; the model may be damaged: ") + message);
    std::_Exit(1);
}

} // namespace

void listen_to_engine(bool quiet) {
    is_quiet = quiet;
    ggml_set_abort_callback(give_up);
    if (quiet) {
        common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT - 1); // the engine's own front end is not asked either
    }
    LOG_INF("computing with the variant for: %s\n", cpu_variant());
    llama_log_set(receive, nullptr);
    mtmd_helper_log_set(receive, nullptr);
}

std::string first_engine_error() {
    const std::lock_guard<std::mutex> lock(error_mutex);
    return first_error;
}
