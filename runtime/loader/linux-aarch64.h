/* System calls of aarch64 Linux. */
#ifndef APE_LINUX_AARCH64_H
#define APE_LINUX_AARCH64_H

#include <stdint.h>

#define SYS_faccessat 48
#define SYS_openat 56
#define SYS_close 57
#define SYS_lseek 62
#define SYS_write 64
#define SYS_pread64 67
#define SYS_exit_group 94
#define SYS_prctl 167
#define SYS_munmap 215
#define SYS_mmap 222
#define SYS_mprotect 226

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

/* Make code that was read into memory visible to instruction fetch: the instruction and data caches of this
   architecture are not coherent by themselves. */
static inline void sync_instructions(uint64_t start, uint64_t end) {
    uint64_t types;
    __asm__ volatile("mrs %0, ctr_el0" : "=r"(types));
    uint64_t data_line = 4ul << (types >> 16 & 15);
    uint64_t code_line = 4ul << (types & 15);
    for (uint64_t line = start & -data_line; line < end; line += data_line) {
        __asm__ volatile("dc cvau, %0" : : "r"(line) : "memory");
    }
    __asm__ volatile("dsb ish" : : : "memory");
    for (uint64_t line = start & -code_line; line < end; line += code_line) {
        __asm__ volatile("ic ivau, %0" : : "r"(line) : "memory");
    }
    __asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

#endif
