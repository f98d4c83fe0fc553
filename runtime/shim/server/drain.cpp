#include "server/drain.h"

#include "base/message.h"
#include "server/session.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace {

constexpr std::chrono::milliseconds PAUSE{20};

// What clients need for an answer that is running, and what shows how many there are.
constexpr const char *OF_RUNNING_ANSWERS[] = {"/metrics", "/slots", "/v1/chat/completions/control", "/v1/stream",
                                              "/v1/streams/lookup"};

std::atomic<bool> has_begun{false};
std::atomic<int> running{0};
thread_local bool is_admitted = false;

bool belongs_to_a_running_answer(const std::string &path) {
    return std::any_of(std::begin(OF_RUNNING_ANSWERS), std::end(OF_RUNNING_ANSWERS), [&](const std::string &known) {
        return path == session().page_path.substr(0, session().page_path.size() - 1) + known;
    });
}

std::string answers(int count) {
    return std::to_string(count) + (count == 1 ? " answer" : " answers");
}

} // namespace

AnswerScope::AnswerScope() {
    is_admitted = false;
}

AnswerScope::~AnswerScope() {
    if (is_admitted) {
        is_admitted = false;
        --running;
    }
}

bool admit_request(const std::string &path) {
    if (is_admitted) {
        return true;
    }
    ++running; // first: drain() sets the flag before it counts
    if (has_begun && !belongs_to_a_running_answer(path)) {
        --running;
        return false;
    }
    return is_admitted = true;
}

bool is_draining() {
    return has_begun;
}

void drain(int seconds) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(seconds);
    has_begun = true;
    if (running > 0 && seconds > 0) {
        log_line("ending after " + answers(running) + ", in " + std::to_string(seconds) + " s at the latest");
    }
    while (running > 0 && Clock::now() < end) {
        std::this_thread::sleep_for(PAUSE);
    }
    if (running > 0) {
        log_line("ended before the end of " + answers(running));
    }
}
