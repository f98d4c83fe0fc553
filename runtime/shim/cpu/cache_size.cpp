#include "cpu/cache_size.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cpuid.h>

namespace {

// Intel SDM, volume 2, CPUID, leaf 4; AMD's processors have the same fields in their own leaf.
constexpr unsigned INTEL_LEAF = 4, AMD_LEAF = 0x8000001d, CACHES_MAX = 16;

uint64_t largest_cache_in(unsigned leaf) {
    uint64_t largest = 0;
    for (unsigned number = 0; number < CACHES_MAX; ++number) {
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (__get_cpuid_count(leaf, number, &a, &b, &c, &d) == 0 || (a & 0x1f) == 0) {
            break;
        }
        const uint64_t ways = (b >> 22) + 1, partitions = ((b >> 12) & 0x3ff) + 1, line = (b & 0xfff) + 1;
        largest = std::max(largest, ways * partitions * line * (uint64_t{c} + 1));
    }
    return largest;
}

} // namespace

uint64_t largest_cache() {
    return std::max(largest_cache_in(INTEL_LEAF), largest_cache_in(AMD_LEAF));
}

#elif defined(__APPLE__)

#include <sys/sysctl.h>

uint64_t largest_cache() {
    uint64_t found = 0;
    size_t size = sizeof found;
    return sysctlbyname("hw.perflevel0.l2cachesize", &found, &size, nullptr, 0) == 0 ? found : 0;
}

#else

uint64_t largest_cache() {
    return 0; // registers say so to the system only
}

#endif
