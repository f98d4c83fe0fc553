#if !defined(__linux__) && !defined(__OpenBSD__)

#include "sandbox/confinement.h"

Confinement confine_paths(const Rights &) {
    return {}; // confine_calls() reports the lack of a sandbox
}

Confinement confine_calls(const Rights &) {
    return {Confinement::Strength::NONE, "this system has no sandbox that llamafile knows"};
}

#endif
