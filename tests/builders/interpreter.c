// In place of the system's dynamic linker, for x86-64: says what an old one says about a newer program, and exits.

static const char SENTENCE[] = "/proc/self/fd/4: /lib64/libc.so.6: version `GLIBC_2.28' not found\n";

static long call(long number, long first, const void *second, long third) {
    long result = number;
    __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
    return result;
}

void _start(void) {
    call(1, 2, SENTENCE, sizeof SENTENCE - 1);
    call(60, 1, 0, 0);
    __builtin_unreachable();
}
