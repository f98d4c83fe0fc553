#include "server/interruption.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#ifdef _WIN32
#include <windows.h>
#else
#include <csignal>
#include <unistd.h>
#endif

namespace {

std::atomic<int> requests{0};

void end_soon() {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    std::_Exit(0);
}

#ifdef _WIN32

BOOL WINAPI note_request(DWORD) {
    if (++requests > 1) {
        std::_Exit(1);
    }
    std::thread(end_soon).detach(); // Windows calls this in a thread of its own, where everything is allowed
    return FALSE;                   // the engine's handler is next
}

void prepare() {}

void install() {
    SetConsoleCtrlHandler(note_request, TRUE);
}

#else

struct sigaction engines_interrupt, engines_termination;

// A signal handler may do little, but it may write.
int wake[2] = {-1, -1};

void wait_for_request() {
    char byte = 0;
    if (read(wake[0], &byte, 1) == 1) {
        end_soon();
    }
}

void note_request(int number) {
    if (++requests > 1 || write(wake[1], "", 1) != 1) {
        std::_Exit(1);
    }
    const struct sigaction &engines = number == SIGINT ? engines_interrupt : engines_termination;
    if (engines.sa_handler != SIG_DFL && engines.sa_handler != SIG_IGN) {
        engines.sa_handler(number);
    }
}

void prepare() {
    if (pipe(wake) != 0) {
        wake[0] = wake[1] = -1;
    }
}

void install() {
    if (wake[0] < 0) {
        return; // the engine's handlers stay, and end when they can
    }
    std::thread(wait_for_request).detach();
    struct sigaction ours {};
    ours.sa_handler = note_request;
    sigaction(SIGINT, &ours, &engines_interrupt);
    sigaction(SIGTERM, &ours, &engines_termination);
}

#endif

} // namespace

void prepare_to_end() {
    prepare();
}

void end_promptly() {
    static bool is_installed = false;
    if (!is_installed) {
        is_installed = true;
        install();
    }
}
