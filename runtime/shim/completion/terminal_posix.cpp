#include "completion/terminal.h"

#include <csignal>
#include <termios.h>
#include <unistd.h>

namespace {

termios saved_settings;
volatile std::sig_atomic_t is_saved = 0;

} // namespace

void save_terminal() {
    is_saved = tcgetattr(STDIN_FILENO, &saved_settings) == 0;
}

void restore_terminal() {
    if (is_saved != 0) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
    }
}
