#include "base/memory.h"

#include <limits>
#include <unistd.h>

// All of the machine's memory: what other processes hold of it, and what the cache of files could give back, is not
// looked up.
uint64_t available_memory() {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_size = sysconf(_SC_PAGESIZE);
    if (pages < 0 || page_size < 0) {
        return std::numeric_limits<uint64_t>::max();
    }
    return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_size);
}
