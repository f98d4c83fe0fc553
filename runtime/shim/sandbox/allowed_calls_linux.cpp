#include "sandbox/allowed_calls.h"

#include <csignal>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace {

using Calls = std::vector<AllowedCall>;

constexpr uint64_t AN_INT = 0xffffffff;
constexpr uint64_t A_POINTER = ~uint64_t{0};

constexpr uint64_t A_THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
constexpr uint64_t NAMESPACES =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// O_TMPFILE includes O_DIRECTORY, which is valid for reading.
constexpr uint64_t WAYS_TO_WRITE = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);

constexpr uint64_t SOCKET_KIND = 0xf; // the other bits of the type are flags

AllowedCall int_is(unsigned number, unsigned argument, uint64_t value) {
    return {number, {{argument, AN_INT, value}}};
}

void append(Calls &calls, const Calls &more) {
    calls.insert(calls.end(), more.begin(), more.end());
}

// Computation, threads, memory, and open files and sockets.
Calls always() { // NOLINT(readability-function-size): a list
    Calls calls;
    for (const unsigned number : {
             __NR_brk,
             __NR_clock_getres,
             __NR_clock_gettime,
             __NR_clock_nanosleep,
             __NR_close,
             __NR_exit,
             __NR_exit_group,
             __NR_fadvise64,
             __NR_fstat,
             __NR_futex,
             __NR_getcpu,
             __NR_getpid,
             __NR_getrandom,
             __NR_gettid,
             __NR_gettimeofday,
             __NR_lseek,
             __NR_madvise,
             __NR_mlock,
             __NR_mremap,
             __NR_munlock,
             __NR_munmap,
             __NR_nanosleep,
             __NR_ppoll,
             __NR_pread64,
             __NR_pselect6,
             __NR_read,
             __NR_readv,
             __NR_restart_syscall,
             __NR_rt_sigaction,
             __NR_rt_sigprocmask,
             __NR_rt_sigreturn,
             __NR_sched_getaffinity,
             __NR_sched_setaffinity,
             __NR_sched_setscheduler,
             __NR_sched_yield,
             __NR_sysinfo,
             __NR_uname,
             __NR_write,
             __NR_writev,
#ifdef __x86_64__
             __NR_poll,
             __NR_select,
             __NR_time,
#endif
         }) {
        calls.push_back({number, {}});
    }
    return calls;
}

Calls always_with_conditions() {
    Calls calls = {
        {__NR_mmap, {{2, PROT_EXEC, 0}}},
        {__NR_mprotect, {{2, PROT_EXEC, 0}}},
        {__NR_clone, {{0, A_THREAD | NAMESPACES, A_THREAD}}},
        {__NR_prlimit64, {{0, AN_INT, 0}, {2, A_POINTER, 0}}}, // reads the limit, does not change it
        {__NR_setpriority, {{0, AN_INT, PRIO_PROCESS}, {1, AN_INT, 0}}},
        int_is(__NR_tkill, 1, SIGABRT), // abort()
        int_is(__NR_prctl, 0, PR_SET_NAME),
    };
    for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC}) {
        calls.push_back(int_is(__NR_fcntl, 1, static_cast<uint64_t>(command)));
    }
    for (const unsigned request : {FIONBIO, FIONREAD, TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ}) {
        calls.push_back(int_is(__NR_ioctl, 1, request));
    }
    return calls;
}

Calls for_reading() {
    return {
        {__NR_openat, {{2, WAYS_TO_WRITE, 0}}},
        {__NR_faccessat, {}},
        {__NR_faccessat2, {}},
        {__NR_getcwd, {}},
        {__NR_getdents64, {}},
        {__NR_newfstatat, {}},
        {__NR_readlinkat, {}},
#ifdef __x86_64__
        {__NR_open, {{1, WAYS_TO_WRITE, 0}}},
        {__NR_access, {}},
        {__NR_lstat, {}},
        {__NR_readlink, {}},
        {__NR_stat, {}},
#endif
    };
}

Calls for_writing() {
    return {
        {__NR_openat, {}},    {__NR_fallocate, {}}, {__NR_fdatasync, {}}, {__NR_fsync, {}},
        {__NR_ftruncate, {}}, {__NR_mkdirat, {}},   {__NR_renameat, {}},  {__NR_unlinkat, {}},
#ifdef __x86_64__
        {__NR_open, {}},      {__NR_mkdir, {}},     {__NR_rename, {}},    {__NR_unlink, {}},
#endif
    };
}

// Calls for files that were opened before: none of them has a path.
Calls for_keeping() {
    return {
        {__NR_ftruncate, {}},
        {__NR_pwrite64, {}},
        int_is(__NR_fcntl, 1, F_SETLK),
    };
}

AllowedCall socket_of(int family, int kind) {
    return {__NR_socket, {{0, AN_INT, static_cast<uint64_t>(family)}, {1, SOCKET_KIND, static_cast<uint64_t>(kind)}}};
}

Calls for_listening() {
    return {
        socket_of(AF_INET, SOCK_STREAM),
        socket_of(AF_INET6, SOCK_STREAM),
        socket_of(AF_UNIX, SOCK_STREAM),
        socket_of(AF_NETLINK, SOCK_RAW), // queries the addresses of this machine
        {__NR_bind, {}},
        {__NR_listen, {}},
        {__NR_getsockopt, {}},
        {__NR_setsockopt, {}},
    };
}

AllowedCall socket_option(unsigned call, int level, int option) {
    return {call, {{1, AN_INT, static_cast<uint64_t>(level)}, {2, AN_INT, static_cast<uint64_t>(option)}}};
}

Calls for_serving() {
    return {
        {__NR_accept, {}},
        {__NR_accept4, {}},
        {__NR_getpeername, {}},
        {__NR_getsockname, {}},
        {__NR_recvfrom, {}},
        {__NR_sendto, {{4, A_POINTER, 0}}}, // only to the peer of the connection
        {__NR_shutdown, {}},
        socket_option(__NR_getsockopt, SOL_SOCKET, SO_ERROR),
        socket_option(__NR_setsockopt, SOL_SOCKET, SO_RCVTIMEO),
        socket_option(__NR_setsockopt, SOL_SOCKET, SO_SNDTIMEO),
        socket_option(__NR_setsockopt, IPPROTO_TCP, TCP_NODELAY),
    };
}

Calls for_connecting() {
    return {socket_of(AF_INET, SOCK_STREAM), {__NR_connect, {}}};
}

Calls for_resolving() {
    return {
        socket_of(AF_INET, SOCK_DGRAM),
        socket_of(AF_INET6, SOCK_DGRAM),
        {__NR_bind, {}},
        {__NR_connect, {}},
        {__NR_recvmsg, {}},
        {__NR_sendto, {}},
        {__NR_setsockopt, {}},
    };
}

// What glibc and drivers call beside the engine; tests/pipeline/test_gpu.py says what fails without each.
Calls for_driving() {
    Calls calls;
    for (const unsigned number : {
             __NR_eventfd2,
             __NR_flock,
             __NR_fstatfs,
             __NR_getegid,
             __NR_geteuid,
             __NR_getgid,
             __NR_getrusage,
             __NR_getuid,
             __NR_ioctl,
             __NR_kcmp,
             __NR_membarrier,
             __NR_memfd_create,
             __NR_mincore,
             __NR_mmap,
             __NR_mprotect,
             __NR_msync,
             __NR_pipe2,
             __NR_rseq,
             __NR_sched_getattr,
             __NR_sched_getparam,
             __NR_sched_getscheduler,
             __NR_set_robust_list,
             __NR_statfs,
             __NR_statx,
         }) {
        calls.push_back({number, {}});
    }
    for (const int command : {F_GETLK, F_SETLK, F_SETLKW}) { // of NVIDIA's shader cache
        calls.push_back(int_is(__NR_fcntl, 1, static_cast<uint64_t>(command)));
    }
    return calls;
}

// What posix_spawn() calls, the start of a static program and of an APE loader, and a child before it is confined.
Calls for_spawning() {
    Calls calls;
    for (const unsigned number : {
             __NR_clone,
             __NR_close_range,
             __NR_dup,
             __NR_dup3,
             __NR_execve,
             __NR_execveat,
             __NR_fcntl,
             __NR_getegid,
             __NR_geteuid,
             __NR_getgid,
             __NR_getppid,
             __NR_getuid,
             __NR_ioctl,
             __NR_kill,
             __NR_membarrier,
             __NR_mincore,
             __NR_mmap,
             __NR_mprotect,
             __NR_pipe2,
             __NR_prlimit64,
             __NR_rseq,
             __NR_set_robust_list,
             __NR_set_tid_address,
             __NR_sigaltstack,
             __NR_statx,
             __NR_tgkill,
             __NR_wait4,
             __NR_waitid,
#ifdef __NR_landlock_create_ruleset
             __NR_landlock_add_rule,
             __NR_landlock_create_ruleset,
             __NR_landlock_restrict_self,
#endif
#ifdef __x86_64__
             __NR_arch_prctl,
             __NR_dup2,
             __NR_pipe,
             __NR_vfork,
#endif
         }) {
        calls.push_back({number, {}});
    }
    return calls;
}

Calls for_tightening() {
    return {
        int_is(__NR_seccomp, 0, SECCOMP_SET_MODE_FILTER),
        int_is(__NR_prctl, 0, PR_SET_NO_NEW_PRIVS),
        int_is(__NR_prctl, 0, PR_SET_SECCOMP),
    };
}

} // namespace

std::vector<AllowedCall> allowed_calls(const Rights &rights) {
    Calls calls = always();
    append(calls, always_with_conditions());
    append(calls, rights.read_files ? for_reading() : Calls{});
    append(calls, rights.write_files ? for_writing() : Calls{});
    append(calls, rights.keep_files ? for_keeping() : Calls{});
    append(calls, rights.listen ? for_listening() : Calls{});
    append(calls, rights.serve ? for_serving() : Calls{});
    append(calls, rights.connect ? for_connecting() : Calls{});
    append(calls, rights.resolve ? for_resolving() : Calls{});
    append(calls, rights.tighten ? for_tightening() : Calls{});
    append(calls, rights.drive ? for_driving() : Calls{});
    append(calls, rights.spawn ? for_spawning() : Calls{});
    return calls;
}
