// Threads that compute wait for each other several hundred times per token, mostly for microseconds: they stay active
// for a short time, and then sleep. A thread that stays active although the other has no processor takes time away from
// it, or from other programs.

#include <atomic>
#include <chrono>

#include "hooks/hooks.h"

namespace {

constexpr std::uint64_t NANOSECONDS_PER_LEVEL = 2000; // 100 microseconds at the engine's default, --poll 50

} // namespace

bool llamafile_may_spin(std::uint64_t *begin, std::uint32_t poll) {
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    if (*begin == 0) {
        *begin = now;
    }
    return now - *begin < poll * NANOSECONDS_PER_LEVEL;
}

void llamafile_sleep_while(int *word, int value) {
    std::atomic_ref(*word).wait(value);
}

void llamafile_wake(int *word) {
    std::atomic_ref(*word).notify_all();
}
