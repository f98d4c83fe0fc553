// SIGBUS: mapped weights that can no longer be read, because their file was truncated or its disk is gone.

#pragma once

// Installs a handler that prints a message and exits, instead of a crash without one.
void handle_sigbus();
