#include "server/session.h"
#include "server/shutdown.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <windows.h>

namespace {

// When a console is closed or the system ends, Windows ends the process some five seconds later.
constexpr int CLOSING_SECONDS = 4;

// Used by handlers, which have no argument for it, hence not in the session.
std::atomic<int> request_count{0};
void (*interrupt_handler)(int) = nullptr;
bool is_installed = false;

// Windows calls handlers in a thread, which may call any function.
BOOL WINAPI on_request(DWORD event) {
    if (++request_count > 1) {
        std::_Exit(1);
    }
    if (event == CTRL_C_EVENT) {
        end_soon();
    }
    const int seconds = session().shutdown_seconds;
    end_after_answers(event == CTRL_BREAK_EVENT ? seconds : std::min(seconds, CLOSING_SECONDS));
}

BOOL WINAPI on_console_event(DWORD event) {
    if (event == CTRL_C_EVENT) {
        interrupt_handler(SIGINT);
    }
    return event == CTRL_C_EVENT;
}

} // namespace

void prepare_shutdown() {}

void install_shutdown_handlers() {
    if (!is_installed) {
        is_installed = true;
        SetConsoleCtrlHandler(on_request, TRUE);
    }
}

void install_interrupt_handler(void (*handler)(int)) {
    interrupt_handler = handler;
    SetConsoleCtrlHandler(on_console_event, TRUE);
}

void ignore_broken_pipes() {}
