// The processor time that a control group grants, in processors. Source: cgroups(7) and the kernel's documents on
// cgroup v2 (cpu.max) and on bandwidth control (cpu.cfs_quota_us).

#pragma once

#include <optional>
#include <string>

// Returns the lowest quota of the groups in MEMBERSHIP, the contents of /proc/self/cgroup, and of the groups above
// them, whose files are below ROOT, usually /sys/fs/cgroup. Nothing if none of them has a quota.
std::optional<double> cpu_quota(const std::string &root, const std::string &membership);
