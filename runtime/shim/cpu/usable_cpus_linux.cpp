// A thread without a processor delays all others. The engine counts the machine's processors; a container, taskset or a
// service manager may grant fewer.

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "cpu/cpu_quota_linux.h"
#include "hooks/hooks.h"

namespace {

constexpr int MASK_CPUS_MAX = 8192; // as many as Linux can have

int allowed_cpus(int cpus) {
    cpu_set_t *mask = CPU_ALLOC(MASK_CPUS_MAX);
    if (mask == nullptr) {
        return cpus;
    }
    const size_t size = CPU_ALLOC_SIZE(MASK_CPUS_MAX);
    const int count = sched_getaffinity(0, size, mask) == 0 ? CPU_COUNT_S(size, mask) : cpus;
    CPU_FREE(mask);
    return count;
}

} // namespace

int llamafile_usable_cpus(int cpus) {
    std::ifstream file("/proc/self/cgroup");
    const std::string membership{std::istreambuf_iterator<char>(file), {}};
    const double quota = cpu_quota("/sys/fs/cgroup", membership).value_or(cpus);
    // Of a fraction of a processor, a thread has more use than another thread has harm.
    return std::max(1, std::min({cpus, allowed_cpus(cpus), static_cast<int>(std::ceil(quota))}));
}
