// Threads that compute wait for each other several hundred times per token, mostly for microseconds. To sleep and be
// woken takes longer than that, so a thread stays active for a short time before it sleeps. But where other programs
// leave the threads one processor, none of them gets ahead while another stays active: after several such waits a
// thread sleeps at once, and stays active in a few waits only, to find out if that has changed.

#include <algorithm>
#include <atomic>
#include <chrono>

#include "hooks/hooks.h"

namespace {

constexpr std::uint64_t NANOSECONDS_PER_LEVEL = 1000; // 50 microseconds at the engine's default, --poll 50
constexpr int PENALTY = 4;                            // a thread should stay active if four of five waits end then
constexpr int PENALTIES_MAX = 4 * PENALTY;
constexpr int TOO_MANY_PENALTIES = 2 * PENALTY;
constexpr unsigned TRIAL_INTERVAL = 32; // waits

// The waits of one thread.
struct Waits {
    bool is_active = false; // the current or latest wait, so far
    int penalties = 0;      // for active waits that did not end, less those that did
    unsigned since_trial = 0;
};

thread_local Waits waits;

void begin_wait() {
    if (waits.is_active && waits.penalties > 0) {
        --waits.penalties;
    }
    waits.since_trial = (waits.since_trial + 1) % TRIAL_INTERVAL;
    waits.is_active = waits.penalties < TOO_MANY_PENALTIES || waits.since_trial == 0;
}

void end_activity() {
    waits.is_active = false;
    waits.penalties = std::min(waits.penalties + PENALTY, PENALTIES_MAX);
}

} // namespace

bool llamafile_may_spin(std::uint64_t *begin, std::uint32_t poll) {
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    if (*begin == 0) {
        *begin = now;
        begin_wait();
    }
    if (waits.is_active && now - *begin >= poll * NANOSECONDS_PER_LEVEL) {
        end_activity();
    }
    return waits.is_active;
}

#if !defined(__linux__) && !defined(_WIN32)

void llamafile_sleep_while(int *word, int value) {
    std::atomic_ref(*word).wait(value);
}

void llamafile_wake(int *word) {
    std::atomic_ref(*word).notify_all();
}

#endif
