#include "server/session.h"
#include "server/shutdown.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <unistd.h>

namespace {

// Used by a signal handler, hence not in the session.
std::atomic<int> request_count{0};
int wake_pipe[2] = {-1, -1}; // wakes wait_for_request(), because a handler may only call functions like write()
bool is_installed = false;

void wait_for_request() {
    char signal = 0;
    while (read(wake_pipe[0], &signal, 1) < 0 && errno == EINTR) { // this thread may be given the signal
    }
    if (signal == 0) {
        return;
    }
    if (signal == SIGTERM) {
        end_after_answers(session().shutdown_seconds);
    }
    end_soon();
}

void on_request(int signal) {
    const char byte = static_cast<char>(signal);
    if (++request_count > 1 || write(wake_pipe[1], &byte, 1) != 1) {
        std::_Exit(1);
    }
}

void handle_requests(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler; // without SA_RESTART, which would continue reading from the terminal
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
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
    handle_requests(on_request);
}

void install_interrupt_handler(void (*handler)(int)) {
    handle_requests(handler);
}

void ignore_broken_pipes() {
    std::signal(SIGPIPE, SIG_IGN);
}
