#include "rpc/lost_worker.h"

#include "base/message.h"
#include "base/terminal.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace {

// The engine's threads look once a second whether a request is abandoned.
constexpr auto TIME_FOR_ANSWERS = std::chrono::milliseconds(2500);

std::mutex sentence_mutex;
std::string sentence;
std::atomic<bool> has_requests{false};

} // namespace

std::string lost_worker() {
    const std::lock_guard<std::mutex> lock(sentence_mutex);
    return sentence;
}

void leave_time_for_answers() {
    has_requests = true;
}

void end_without(const std::string &worker, const std::string &reason) {
    {
        const std::unique_lock<std::mutex> lock(sentence_mutex);
        if (sentence.empty()) {
            sentence = "the worker " + worker + " is gone (" + reason +
                       "), and with it a part of the model; this program ends";
            log_line(sentence);
        }
    }
    if (has_requests) {
        std::this_thread::sleep_for(TIME_FOR_ANSWERS);
    }
    std::fflush(stdout); // a text that is complete up to here
    restore_terminal();
    std::_Exit(1);
}
