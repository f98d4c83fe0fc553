// seccomp: limits system calls with a program for the kernel's packet filter machine.
// https://docs.kernel.org/userspace-api/seccomp_filter.html

#include "sandbox/allowed_calls.h"
#include "sandbox/confinement.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

#if defined(__x86_64__)
constexpr unsigned MACHINE = AUDIT_ARCH_X86_64;
constexpr unsigned X32 = 0x40000000; // set in the numbers of another interface, where calls differ
#elif defined(__aarch64__)
constexpr unsigned MACHINE = AUDIT_ARCH_AARCH64;
#else
#error "unknown architecture: numbers of system calls differ between architectures"
#endif

constexpr unsigned ALLOW = SECCOMP_RET_ALLOW;
constexpr unsigned REFUSE = SECCOMP_RET_ERRNO | EPERM;
constexpr unsigned ABSENT = SECCOMP_RET_ERRNO | ENOSYS;

using Program = std::vector<sock_filter>;

void load(Program &program, size_t offset) {
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset)));
}

void answer(Program &program, unsigned value) {
    program.push_back(BPF_STMT(BPF_RET | BPF_K, value));
}

// Tests half of an argument; both architectures are little-endian.
void test_half(Program &program, const Condition &condition, bool upper, std::vector<size_t> &ways_out) {
    const unsigned shift = upper ? 32 : 0;
    const auto mask = static_cast<unsigned>(condition.mask >> shift);
    if (mask == 0) {
        return;
    }
    load(program, offsetof(seccomp_data, args) + condition.argument * sizeof(__u64) + (upper ? sizeof(__u32) : 0));
    program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    ways_out.push_back(program.size());
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(condition.value >> shift), 0, 0));
}

void test_call(Program &program, const AllowedCall &call) {
    std::vector<size_t> ways_out = {program.size()};
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 0));
    for (const Condition &condition : call.conditions) {
        test_half(program, condition, false, ways_out);
        test_half(program, condition, true, ways_out);
    }
    answer(program, ALLOW);
    for (const size_t jump : ways_out) {
        program[jump].jf = static_cast<__u8>(program.size() - jump - 1);
    }
    if (!call.conditions.empty()) {
        load(program, offsetof(seccomp_data, nr)); // the conditions overwrote it
    }
}

Program filter_for(const Rights &rights) {
    Program program;
    load(program, offsetof(seccomp_data, arch));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0));
    answer(program, REFUSE);
    load(program, offsetof(seccomp_data, nr));
#ifdef __x86_64__
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    answer(program, REFUSE);
#endif
    for (const AllowedCall &call : allowed_calls(rights)) {
        test_call(program, call);
    }
    // The arguments of clone3 are in memory, which a filter cannot read; C libraries fall back to clone.
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1));
    answer(program, ABSENT);
    answer(program, REFUSE);
    return program;
}

} // namespace

Confinement confine_calls(const Rights &rights) {
    using Strength = Confinement::Strength;
    tzset(); // reads its file, which the filter prevents later
    Program program = filter_for(rights);
    sock_fprog filter{};
    filter.len = static_cast<unsigned short>(program.size());
    filter.filter = program.data();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return {Strength::NONE, std::string("this kernel cannot give up rights (") + std::strerror(errno) + ")"};
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0) {
        return {};
    }
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0) {
        return {Strength::WEAKER, "threads that run already are not covered (Linux 3.17 can)"};
    }
    return {Strength::NONE, std::string("this kernel has no seccomp filters (") + std::strerror(errno) + ")"};
}
