#include "base/first_process.h"

#include <csignal>
#include <cstdlib>
#include <unistd.h>

namespace {

constexpr int SIGNAL_STATUS = 128; // plus the signal, as shells have it

void end_at_once(int signal) {
    std::_Exit(SIGNAL_STATUS + signal);
}

} // namespace

void end_on_signals_as_first_process() {
    if (getpid() == 1) {
        std::signal(SIGINT, end_at_once);
        std::signal(SIGTERM, end_at_once);
    }
}
