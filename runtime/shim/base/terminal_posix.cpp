#include "base/terminal.h"

#include <csignal>
#include <cstdlib>
#include <termios.h>
#include <unistd.h>

namespace {

termios saved_settings;
volatile std::sig_atomic_t is_saved = 0;

constexpr int SIGNAL_STATUS = 128; // plus the signal, as shells have it

void on_end(int signal) {
    restore_terminal();
    std::_Exit(SIGNAL_STATUS + signal);
}

} // namespace

void save_terminal() {
    if (tcgetattr(STDIN_FILENO, &saved_settings) == 0) {
        is_saved = 1;
        std::signal(SIGTERM, on_end);
        std::signal(SIGHUP, on_end);
    }
}

void restore_terminal() {
    if (is_saved != 0) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
    }
}
