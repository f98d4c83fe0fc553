#if !defined(__linux__) && !defined(_WIN32)

#include "hooks/hooks.h"

int llamafile_usable_cpus(int cpus) {
    return cpus; // macOS has no masks, and the engine asks the BSDs for the processors that are online
}

#endif
