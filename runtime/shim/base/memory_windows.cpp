#include "base/memory.h"

#include <limits>
#include <windows.h>

uint64_t available_memory() {
    MEMORYSTATUSEX status = {};
    status.dwLength = sizeof status;
    return GlobalMemoryStatusEx(&status) != 0 ? status.ullAvailPhys : std::numeric_limits<uint64_t>::max();
}
