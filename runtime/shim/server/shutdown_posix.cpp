#include "server/shutdown.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <unistd.h>

namespace {

// Used by a signal handler, hence not in the session.
std::atomic<int> request_count{0};
struct sigaction engine_interrupt, engine_termination;
int wake_pipe[2] = {-1, -1}; // wakes wait_for_request(), because a handler may only call functions like write()
bool is_installed = false;

void wait_for_request() {
    char byte = 0;
    if (read(wake_pipe[0], &byte, 1) == 1) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        std::_Exit(0);
    }
}

void on_request(int signal) {
    if (++request_count > 1 || write(wake_pipe[1], "", 1) != 1) {
        std::_Exit(1);
    }
    const struct sigaction &engine = signal == SIGINT ? engine_interrupt : engine_termination;
    if (engine.sa_handler != SIG_DFL && engine.sa_handler != SIG_IGN) {
        engine.sa_handler(signal);
    }
}

} // namespace

void prepare_shutdown() {
    if (pipe(wake_pipe) != 0) {
        wake_pipe[0] = wake_pipe[1] = -1;
    }
}

void install_shutdown_handlers() {
    if (is_installed) {
        return;
    }
    is_installed = true;
    if (wake_pipe[0] < 0) {
        return; // the engine's handlers remain, which end the server without a limit of time
    }
    std::thread(wait_for_request).detach();
    struct sigaction action = {};
    action.sa_handler = on_request;
    sigaction(SIGINT, &action, &engine_interrupt);
    sigaction(SIGTERM, &action, &engine_termination);
}

void install_interrupt_handler(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler; // without SA_RESTART, which would continue reading
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

void ignore_broken_pipes() {
    std::signal(SIGPIPE, SIG_IGN);
}
