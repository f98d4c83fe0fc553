#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <limits>

#include "hooks/hooks.h"

namespace {

std::atomic<int> sleepers = 0;

} // namespace

// Not std::atomic_ref::wait(), which yields the processor for a while before it sleeps: to another program, for its
// whole turn, even if the wait ends at once.
void llamafile_sleep_while(int *word, int value) {
    ++sleepers;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr);
    --sleepers;
}

void llamafile_wake(int *word) {
    if (sleepers != 0) {
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max());
    }
}
