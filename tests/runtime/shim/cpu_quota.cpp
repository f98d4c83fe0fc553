// Prints the quota below the folder argv[1] for the group membership in argv[2], or `none`.

#include "cpu/cpu_quota_linux.h"

#include <cstdio>

int main(int, char **argv) {
    const std::optional<double> quota = cpu_quota(argv[1], argv[2]);
    if (quota) {
        std::printf("%g\n", *quota);
    } else {
        std::puts("none");
    }
}
