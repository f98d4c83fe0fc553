#if defined(__x86_64__) && !defined(__APPLE__) // every Mac with a supported system has these instructions

#include "cpu/entry.h"

#include <unistd.h>

extern "C" [[noreturn]] ANY_X86_64 void llamafile_refuse() {
#ifdef __linux__
    // libc's write() reads data of the thread, which is not set up yet.
    long result = 1, number = 60;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(long{STDERR_FILENO}), "S"(REFUSAL), "d"(sizeof REFUSAL - 1)
                     : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : : "a"(number), "D"(1L) : "rcx", "r11", "memory");
    __builtin_unreachable();
#else
    // The dynamic linker has initialised libc; OpenBSD allows system calls from libc only.
    if (write(STDERR_FILENO, REFUSAL, sizeof REFUSAL - 1) < 0) {
        // no other place is left for the message
    }
    _exit(1);
#endif
}

// The kernel passes values in rdx, rbx and on the stack, which the real entry point must find unchanged. 0x201 are the
// bits of SSE3 and SSSE3.
extern "C" __attribute__((naked)) void llamafile_entry() {
    __asm__("movq %rdx, %r8\n\t"
            "movq %rbx, %r9\n\t"
            "movl $1, %eax\n\t"
            "cpuid\n\t"
            "andl $0x201, %ecx\n\t"
            "cmpl $0x201, %ecx\n\t"
            "movq %r8, %rdx\n\t"
            "movq %r9, %rbx\n\t"
            "je _start\n\t"
            "andq $-16, %rsp\n\t"
            "call llamafile_refuse\n\t");
}

#endif
