// The first process of a container.

#pragma once

// To the first process of a container, the kernel delivers only signals that it handles: until the program installs
// handlers of its own, it would not end when the container is stopped. Has no effect in other processes.
void end_on_signals_as_first_process();
