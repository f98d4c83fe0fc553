// Tries what a sandboxed server must not do, in each kind of thread that it has, and prints what became of it:
// one line a try, `THREAD CALL ERRNO`. DIR has the files `readable`, which it may read while it loads, and `writable`.
//
// attack free DIR        without a sandbox, each try in a process of its own: what the tries would do
// attack loading DIR     as while a model is loaded
// attack caching DIR     the same with the right to write DIR/writable (--prompt-cache)
// attack serving DIR     as when the server answers, in threads older and younger than the sandbox
// attack reading DIR     the same with the right to read DIR/kept (--path)

#include "sandbox/confinement.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

struct Try {
    const char *name;
    std::function<long()> call;
};

std::string folder;
int connected[2]; // a pair of sockets, as a server has them
int listener;

std::string in_folder(const char *name) {
    return folder + "/" + name;
}

sockaddr_in closed_address() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

long send_message() {
    char byte = 'x';
    iovec part = {&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    return syscall(SYS_sendmsg, connected[0], &message, 0);
}

long open_as_told() {
    open_how how{};
    return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how);
}

long only_parent(long child) {
    if (child == 0) {
        _exit(0);
    }
    return child;
}

long new_process(unsigned long flags) {
    return only_parent(syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

long read_elsewhere() {
    char byte;
    iovec part = {&byte, 1};
    return syscall(SYS_process_vm_readv, getppid(), &part, 1, &part, 1, 0);
}

long make_ring() {
    io_uring_params parameters{};
    return syscall(SYS_io_uring_setup, 1, &parameters);
}

long make_code_writable() {
    void *page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

long connect_to_closed_address() {
    const sockaddr_in address = closed_address();
    return syscall(SYS_connect, connected[0], &address, sizeof address);
}

long send_to_closed_address() {
    const sockaddr_in address = closed_address();
    return syscall(SYS_sendto, connected[0], "x", 1, 0, &address, sizeof address);
}

const std::vector<Try> &forbidden_always() {
    static const std::vector<Try> tries = {
        {"execve", [] { return syscall(SYS_execve, "/nonexistent", nullptr, nullptr); }},
        {"execveat", [] { return syscall(SYS_execveat, AT_FDCWD, "/nonexistent", nullptr, nullptr, 0); }},
        {"clone:process", [] { return new_process(0); }},
        {"clone:namespace", [] { return new_process(CLONE_NEWUTS); }},
        {"clone3", [] { return syscall(SYS_clone3, nullptr, 0); }},
        {"unshare", [] { return syscall(SYS_unshare, 0); }},
        {"setns", [] { return syscall(SYS_setns, -1, 0); }},
        {"ptrace", [] { return syscall(SYS_ptrace, 0x4206, getppid(), nullptr, nullptr); }},
        {"process_vm_readv", read_elsewhere},
        {"process_vm_writev", [] { return syscall(SYS_process_vm_writev, getpid(), nullptr, 0, nullptr, 0, 0); }},
        {"pidfd_open", [] { return syscall(SYS_pidfd_open, getpid(), 0); }},
        {"kill", [] { return syscall(SYS_kill, getppid(), 0); }},
        {"tgkill", [] { return syscall(SYS_tgkill, getpid(), gettid(), 0); }},
        {"tkill", [] { return syscall(SYS_tkill, gettid(), 0); }},
        {"io_uring_setup", make_ring},
        {"bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }},
        {"perf_event_open", [] { return syscall(SYS_perf_event_open, nullptr, 0, 0, -1, 0); }},
        {"userfaultfd", [] { return syscall(SYS_userfaultfd, 0); }},
        {"keyctl", [] { return syscall(SYS_keyctl, 0, 0, 0); }},
        {"memfd_create", [] { return syscall(SYS_memfd_create, "x", 0); }},
        {"mmap:code", [] { return syscall(SYS_mmap, nullptr, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
        {"mprotect:code", make_code_writable},
        {"prctl:dumpable", [] { return static_cast<long>(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }},
        {"ioctl:type", [] { return static_cast<long>(ioctl(0, TIOCSTI, "x")); }},
        {"fcntl:owner", [] { return static_cast<long>(fcntl(0, F_SETOWN, getpid())); }},
        {"landlock", [] { return syscall(SYS_landlock_create_ruleset, nullptr, 0, 1); }},
        {"mount", [] { return syscall(SYS_mount, "/nonexistent", "/nonexistent", "x", 0, nullptr); }},
        {"chroot", [] { return syscall(SYS_chroot, "/nonexistent"); }},
        {"chdir", [] { return syscall(SYS_chdir, "/"); }},
        {"fchmodat", [] { return syscall(SYS_fchmodat, AT_FDCWD, in_folder("writable").c_str(), 0600); }},
        {"symlinkat", [] { return syscall(SYS_symlinkat, "x", AT_FDCWD, in_folder("link").c_str()); }},
        {"linkat", [] { return syscall(SYS_linkat, AT_FDCWD, "/nonexistent", AT_FDCWD, "/nonexistent2", 0); }},
        {"mknodat", [] { return syscall(SYS_mknodat, AT_FDCWD, in_folder("fifo").c_str(), S_IFIFO | 0600, 0); }},
        {"truncate", [] { return syscall(SYS_truncate, in_folder("writable").c_str(), 0); }},
        {"openat2", open_as_told},
        {"openat:write", [] { return syscall(SYS_openat, AT_FDCWD, in_folder("writable").c_str(), O_WRONLY); }},
        {"openat:create", [] { return syscall(SYS_openat, AT_FDCWD, in_folder("new").c_str(), O_CREAT, 0600); }},
        {"openat:temporary", [] { return syscall(SYS_openat, AT_FDCWD, folder.c_str(), O_TMPFILE | O_RDWR, 0600); }},
        {"unlinkat", [] { return syscall(SYS_unlinkat, AT_FDCWD, "/nonexistent", 0); }},
        {"renameat2", [] { return syscall(SYS_renameat2, AT_FDCWD, "/nonexistent", AT_FDCWD, "/nonexistent2", 0); }},
        {"mkdirat", [] { return syscall(SYS_mkdirat, AT_FDCWD, in_folder("made").c_str(), 0700); }},
        {"connect", connect_to_closed_address},
        {"sendto:address", send_to_closed_address},
        {"sendmsg", send_message},
        {"socket:udp", [] { return syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0); }},
        {"socket:packet", [] { return syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0); }},
        {"socketpair", [] { return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, connected); }},
#ifdef __x86_64__
        {"open:write", [] { return syscall(SYS_open, in_folder("writable").c_str(), O_RDWR); }},
        {"fork", [] { return only_parent(syscall(SYS_fork)); }},
        {"x32:getpid", [] { return syscall(0x40000000 | SYS_getpid); }},
#endif
    };
    return tries;
}

// What a server has no use for any more once it answers.
const std::vector<Try> &forbidden_after_start() {
    static const std::vector<Try> tries = {
        {"openat", [] { return syscall(SYS_openat, AT_FDCWD, in_folder("readable").c_str(), O_RDONLY); }},
        {"openat:kept", [] { return syscall(SYS_openat, AT_FDCWD, in_folder("kept").c_str(), O_RDONLY); }},
        {"openat:passwd", [] { return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }},
        {"newfstatat",
         [] {
             struct stat status;
             return syscall(SYS_newfstatat, AT_FDCWD, "/", &status, 0);
         }},
        {"readlinkat",
         [] {
             char name[9];
             return syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", name, 9);
         }},
        {"faccessat", [] { return syscall(SYS_faccessat, AT_FDCWD, "/", 0); }},
        {"socket", [] { return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
        {"socket:unix", [] { return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
        {"socket:netlink", [] { return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
        {"bind",
         [] {
             const sockaddr_in address = closed_address();
             return syscall(SYS_bind, connected[0], &address, 16);
         }},
        {"listen", [] { return syscall(SYS_listen, listener, 2); }},
        {"setsockopt:reuse",
         [] {
             const int yes = 1;
             return syscall(SYS_setsockopt, listener, SOL_SOCKET, SO_REUSEADDR, &yes, 4);
         }},
        {"seccomp", [] { return syscall(SYS_seccomp, 2, 0, "\0\0\0"); }},
#ifdef __x86_64__
        {"open", [] { return syscall(SYS_open, "/etc/passwd", O_RDONLY); }},
        {"stat",
         [] {
             struct stat status;
             return syscall(SYS_stat, "/", &status);
         }},
#endif
    };
    return tries;
}

// What it goes on doing.
const std::vector<Try> &allowed() {
    static const std::vector<Try> tries = {
        {"read", [] { return read(connected[1], nullptr, 0); }},
        {"sendto", [] { return send(connected[0], "x", 1, 0); }},
        {"recvfrom",
         [] {
             char byte;
             return recv(connected[1], &byte, 1, 0);
         }},
        {"getrandom",
         [] {
             char byte;
             return syscall(SYS_getrandom, &byte, 1, 0);
         }},
        {"mmap", [] { return syscall(SYS_mmap, nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
        {"setsockopt:nodelay",
         [] {
             const int yes = 1;
             return static_cast<long>(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, 4));
         }},
        {"thread",
         [] {
             std::thread([] {}).join();
             return 0L;
         }},
    };
    return tries;
}

using Tries = std::vector<Try>;

void attempt(const char *thread, const Tries &tries) {
    for (const Try &one : tries) {
        errno = 0;
        const long result = one.call();
        std::printf("%s %s %d\n", thread, one.name, result == -1 ? errno : 0);
    }
}

void attempt_freely(const Tries &tries) {
    for (const Try &one : tries) {
        std::fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            attempt("free", {one});
            std::fflush(stdout);
            _exit(0);
        }
        waitpid(child, nullptr, 0);
    }
}

void attempt_all(const char *thread) {
    attempt(thread, forbidden_always());
    attempt(thread, forbidden_after_start());
    attempt(thread, allowed());
}

Rights loading() {
    Rights rights;
    rights.read_files = rights.listen = rights.serve = rights.tighten = true;
    rights.readable = {in_folder("readable"), in_folder("kept")};
    return rights;
}

bool is_full(const Confinement &result) {
    if (result.strength != Confinement::Strength::FULL) {
        std::fprintf(stderr, "%s\n", result.weakness.c_str());
    }
    return result.strength == Confinement::Strength::FULL;
}

// Three threads, as a server has them: its main one, one that ran when the sandbox closed, and one made later.
bool attempt_while_serving(const Rights &serving) {
    std::mutex turn;
    turn.lock();
    std::thread older([&turn] {
        const std::lock_guard<std::mutex> mine(turn);
        attempt_all("older");
    });
    const bool closed = is_full(confine_calls(serving));
    attempt_all("main");
    turn.unlock();
    older.join();
    std::thread([] { attempt_all("younger"); }).join();
    return closed;
}

} // namespace

int main(int argc, char **argv) {
    const std::string mode = argc == 3 ? argv[1] : "";
    folder = argc == 3 ? argv[2] : "";
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (mode.empty() || socketpair(AF_UNIX, SOCK_STREAM, 0, connected) != 0) {
        return 2;
    }
    if (mode == "free") {
        attempt_freely(forbidden_always());
        attempt_freely(forbidden_after_start());
        return 0;
    }
    Rights before = loading();
    if (mode == "caching") {
        before.write_files = true;
        before.writable = {in_folder("writable")};
    }
    bool closed = is_full(confine_paths(before));
    closed = is_full(confine_calls(before)) && closed;
    if (mode == "loading" || mode == "caching") {
        attempt_all("main");
        return closed ? 0 : 1;
    }
    Rights serving;
    serving.serve = true;
    serving.read_files = mode == "reading";
    return attempt_while_serving(serving) && closed ? 0 : 1;
}
