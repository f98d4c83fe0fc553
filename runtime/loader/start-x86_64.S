/* The entry point of the loader, and its jump to the program. */
    .text
    .globl _start
    .type _start, @function
_start:
    xor     %ebp, %ebp
    mov     %rsp, %rdi              /* argc, argv, envp, auxv */
    and     $-16, %rsp
    call    load                    /* returns the program's stack and entry in rax:rdx */
    mov     %rax, %rsp
    push    %rdx
    /* The ABI lets rdx name a function to call at exit, and glibc does call it: it must be 0.
       The other registers are cleared, as the kernel does. */
    xor     %eax, %eax
    xor     %ebx, %ebx
    xor     %ecx, %ecx
    xor     %edx, %edx
    xor     %esi, %esi
    xor     %edi, %edi
    xor     %ebp, %ebp
    xor     %r8d, %r8d
    xor     %r9d, %r9d
    xor     %r10d, %r10d
    xor     %r11d, %r11d
    xor     %r12d, %r12d
    xor     %r13d, %r13d
    xor     %r14d, %r14d
    xor     %r15d, %r15d
    ret
    .size _start, . - _start
    .section .note.GNU-stack, "", @progbits
