/* Exits with 0 when it was entered as by the kernel: general registers zero, the stack aligned. */
#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "    or %rbx, %rax\n    or %rcx, %rax\n    or %rdx, %rax\n    or %rsi, %rax\n    or %rdi, %rax\n"
        "    or %rbp, %rax\n    or %r8, %rax\n    or %r9, %rax\n    or %r10, %rax\n    or %r11, %rax\n"
        "    or %r12, %rax\n    or %r13, %rax\n    or %r14, %rax\n    or %r15, %rax\n"
        "    mov %rsp, %rbx\n    and $15, %rbx\n    or %rbx, %rax\n"
        "    xor %edi, %edi\n    test %rax, %rax\n    setne %dil\n"
        "    mov $60, %eax\n    syscall\n");
#else
/* x16 carries the address of the jump itself. */
__asm__(".globl _start\n"
        "_start:\n"
        "    orr x0, x0, x1\n    orr x0, x0, x2\n    orr x0, x0, x3\n    orr x0, x0, x4\n    orr x0, x0, x5\n"
        "    orr x0, x0, x6\n    orr x0, x0, x7\n    orr x0, x0, x8\n    orr x0, x0, x19\n    orr x0, x0, x29\n"
        "    orr x0, x0, x30\n    mov x1, sp\n    and x1, x1, #15\n    orr x0, x0, x1\n"
        "    cmp x0, #0\n    cset x0, ne\n    mov x8, #93\n    svc #0\n");
#endif
