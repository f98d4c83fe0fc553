#include "base/inheritance.h"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

void correct_inheritance() {
    std::signal(SIGCHLD, SIG_DFL);
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
        if (fcntl(descriptor, F_GETFD) < 0) {
            open("/", O_RDONLY | O_DIRECTORY); // the lowest free descriptor; it can be neither read nor written
        }
    }
}
