#include "server/shutdown.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <windows.h>

namespace {

// Used by handlers, which have no argument for it, hence not in the session.
std::atomic<int> request_count{0};
void (*interrupt_handler)(int) = nullptr;
bool is_installed = false;

void end_soon() {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    std::_Exit(0);
}

BOOL WINAPI on_request(DWORD) {
    if (++request_count > 1) {
        std::_Exit(1);
    }
    std::thread(end_soon).detach(); // Windows calls handlers in a thread, which may call any function
    return FALSE;                   // the engine's handler is next
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
