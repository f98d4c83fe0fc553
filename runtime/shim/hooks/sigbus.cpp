#include "hooks/sigbus.h"

#ifdef _WIN32

void explain_page_faults() {} // Windows lets nobody cut a file that is mapped

#else

#include <csignal>
#include <unistd.h>

namespace {

constexpr char SENTENCE[] =
    "llamafile: the weights can no longer be read: their file was cut or replaced in place while it"
    " was in use, or its disk is gone; start again\n";

// Runs in whatever thread touched the page, so it calls only what a signal handler may.
void on_page_fault(int signal, siginfo_t *fault, void *) {
    if (fault->si_code == BUS_ADRERR) {
        const ssize_t ignored = write(STDERR_FILENO, SENTENCE, sizeof SENTENCE - 1);
        (void)ignored;
        _exit(1);
    }
    (void)std::signal(signal, SIG_DFL); // happens again at once, and is no business of ours
}

} // namespace

void explain_page_faults() {
    struct sigaction action {};
    action.sa_sigaction = on_page_fault;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
}

#endif
