// Windows needs no handler: it refuses to truncate a mapped file.

#include "hooks/sigbus.h"

#include "base/terminal.h"

#include <csignal>
#include <unistd.h>

namespace {

constexpr char MESSAGE[] =
    "llamafile: the weights can no longer be read: their file was cut or replaced in place while it"
    " was in use, or its disk is gone; start again\n";

// Runs in the thread that accessed the page: calls only functions that are safe in a signal handler.
void on_sigbus(int signal, siginfo_t *fault, void *) {
    if (fault->si_code == BUS_ADRERR || fault->si_code == BUS_OBJERR) { // the second one is FreeBSD's
        restore_terminal();
        const ssize_t ignored = write(STDERR_FILENO, MESSAGE, sizeof MESSAGE - 1);
        (void)ignored;
        _exit(1);
    }
    (void)std::signal(signal, SIG_DFL); // another cause: recurs at once, with the default action
}

} // namespace

void handle_sigbus() {
    struct sigaction action = {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
}
