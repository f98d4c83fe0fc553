#include "base/stack.h"

#include "base/user_error.h"

#include <algorithm>
#include <string>
#include <sys/resource.h>

namespace {

constexpr rlim_t KIB = 1024;
constexpr rlim_t NEEDED = 256 * KIB; // the engine's table of options takes 80 KiB, its largest function
constexpr rlim_t WANTED = 8192 * KIB;

} // namespace

void ensure_stack() {
    rlimit limit{};
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= WANTED) {
        return;
    }
#ifndef __APPLE__ // there, the size is fixed when the program starts
    rlimit raised = limit;
    raised.rlim_cur = std::min(WANTED, limit.rlim_max);
    if (setrlimit(RLIMIT_STACK, &raised) == 0) {
        limit = raised;
    }
#endif
    if (limit.rlim_cur < NEEDED) {
        throw UserError("the stack is limited to " + std::to_string(limit.rlim_cur / KIB) +
                        " KiB, and the engine needs " + std::to_string(NEEDED / KIB) +
                        ": raise the limit, as 'ulimit -s 8192' does");
    }
}
