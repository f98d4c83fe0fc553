// Landlock: limits files and TCP ports, on Linux 5.13 (2021) and later; ports since 6.7.
// https://docs.kernel.org/userspace-api/landlock.html

#include "sandbox/confinement.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// The versions of the kernel's interface that added the features we use.
constexpr int MOVING_BETWEEN_FOLDERS = 2;
constexpr int TRUNCATING = 3;
constexpr int TCP_PORTS = 4;
constexpr int DEVICE_CONTROL = 5;
constexpr int SCOPES = 6;

constexpr __u64 FIRST_VERSION = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
constexpr __u64 READING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr __u64 STARTING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr __u64 WRITING = READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
                          LANDLOCK_ACCESS_FS_IOCTL_DEV | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                          LANDLOCK_ACCESS_FS_REMOVE_FILE;
constexpr __u64 CONTROLLING = READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
constexpr __u64 CACHING = WRITING | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR;
constexpr __u64 OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                           LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV;

// All rights that this kernel can refuse; rules then allow some of them.
landlock_ruleset_attr everything(int version, bool keeps_ports) {
    landlock_ruleset_attr refused{};
    refused.handled_access_fs = FIRST_VERSION;
    refused.handled_access_fs |= version >= MOVING_BETWEEN_FOLDERS ? LANDLOCK_ACCESS_FS_REFER : 0;
    refused.handled_access_fs |= version >= TRUNCATING ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
    refused.handled_access_fs |= version >= DEVICE_CONTROL ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0;
    // Binding is limited by seccomp: the system may choose the port.
    refused.handled_access_net = version >= TCP_PORTS && !keeps_ports ? LANDLOCK_ACCESS_NET_CONNECT_TCP : 0;
    refused.scoped = version >= SCOPES ? LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL : 0;
    return refused;
}

// The size of the structure in this version; the kernel refuses larger ones.
size_t size_for(int version) {
    return version >= SCOPES      ? offsetof(landlock_ruleset_attr, scoped) + sizeof(__u64)
           : version >= TCP_PORTS ? offsetof(landlock_ruleset_attr, handled_access_net) + sizeof(__u64)
                                  : offsetof(landlock_ruleset_attr, handled_access_fs) + sizeof(__u64);
}

// A path that does not exist needs no rule.
void allow(int ruleset, const std::string &path, __u64 rights) {
    landlock_path_beneath_attr rule{};
    rule.parent_fd = open(path.c_str(), O_PATH | O_CLOEXEC);
    struct stat status = {};
    if (rule.parent_fd >= 0 && fstat(rule.parent_fd, &status) == 0) {
        rule.allowed_access = S_ISDIR(status.st_mode) ? rights : rights & OF_FILES;
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    if (rule.parent_fd >= 0) {
        close(rule.parent_fd);
    }
}

void allow_port(int ruleset, int port) {
    landlock_net_port_attr rule{};
    rule.allowed_access = LANDLOCK_ACCESS_NET_CONNECT_TCP;
    rule.port = static_cast<__u64>(port);
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_NET_PORT, &rule, 0);
}

Confinement failure() {
    return {Confinement::Strength::NONE, std::string("Landlock: ") + std::strerror(errno)};
}

} // namespace

Confinement confine_paths(const Rights &rights) {
    const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return {Confinement::Strength::NONE, std::string("this kernel has no Landlock (") + std::strerror(errno) +
                                                 "), so what may be opened at all may be opened anywhere"};
    }
    const auto known = static_cast<int>(version);
    const landlock_ruleset_attr refused = everything(known, rights.spawn);
    const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &refused, size_for(known), 0));
    if (ruleset < 0) {
        return failure();
    }
    for (const std::string &path : rights.readable) {
        allow(ruleset, path, READING & refused.handled_access_fs);
    }
    for (const std::string &path : rights.writable) {
        allow(ruleset, path, WRITING & refused.handled_access_fs);
    }
    for (const std::string &path : rights.executable) {
        allow(ruleset, path, STARTING & refused.handled_access_fs);
    }
    for (const std::string &path : rights.devices) {
        allow(ruleset, path, CONTROLLING & refused.handled_access_fs);
    }
    for (const std::string &path : rights.caches) {
        allow(ruleset, path, CACHING & refused.handled_access_fs);
    }
    if (rights.connect && !rights.spawn && known >= TCP_PORTS) {
        allow_port(ruleset, rights.port);
    }
    Confinement result;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        result = failure();
    } else if (rights.connect && !rights.spawn && known < TCP_PORTS) {
        result = {Confinement::Strength::WEAKER, "this kernel cannot tell ports apart (Linux 6.7 can)"};
    }
    close(ruleset);
    return result;
}
