#include <windows.h>

#include <algorithm>
#include <bitset>
#include <limits>

#include "hooks/hooks.h"

int llamafile_usable_cpus(int cpus) {
    DWORD_PTR process = 0;
    DWORD_PTR machine = 0;
    // Both are 0 for a process in several groups, which may use more than 64 processors.
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) == 0 || process == 0) {
        return cpus;
    }
    const std::bitset<std::numeric_limits<DWORD_PTR>::digits> allowed(process);
    return process == machine ? cpus : std::min(cpus, static_cast<int>(allowed.count()));
}
