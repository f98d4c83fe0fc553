/* System calls of x86_64 Linux. */
#ifndef APE_LINUX_X86_64_H
#define APE_LINUX_X86_64_H

#include <stdint.h>

#define SYS_write 1
#define SYS_close 3
#define SYS_lseek 8
#define SYS_mmap 9
#define SYS_mprotect 10
#define SYS_munmap 11
#define SYS_pread64 17
#define SYS_prctl 157
#define SYS_exit_group 231
#define SYS_openat 257
#define SYS_faccessat 269

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* Nothing to do: the processor keeps instruction fetch coherent with writes. */
static inline void sync_instructions(uint64_t start, uint64_t end) {
    (void)start;
    (void)end;
}

#endif
