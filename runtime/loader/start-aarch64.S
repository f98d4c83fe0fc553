/* The entry point of the loader, and its jump to the program. */
    .text
    .globl _start
    .type _start, %function
_start:
    mov     x29, #0
    mov     x30, #0
    mov     x0, sp                  /* argc, argv, envp, auxv: 16-byte aligned by the kernel */
    bl      load                    /* returns the program's stack and entry in x0 and x1 */
    mov     sp, x0
    mov     x16, x1
    /* The ABI lets x0 name a function to call at exit: it must be 0. The other registers are
       cleared, as the kernel does. */
    mov     x0, #0
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #0
    mov     x5, #0
    mov     x6, #0
    mov     x7, #0
    mov     x8, #0
    mov     x9, #0
    mov     x10, #0
    mov     x11, #0
    mov     x12, #0
    mov     x13, #0
    mov     x14, #0
    mov     x15, #0
    mov     x17, #0
    mov     x18, #0
    mov     x19, #0
    mov     x20, #0
    mov     x21, #0
    mov     x22, #0
    mov     x23, #0
    mov     x24, #0
    mov     x25, #0
    mov     x26, #0
    mov     x27, #0
    mov     x28, #0
    mov     x29, #0
    mov     x30, #0
    br      x16
    .size _start, . - _start
    .section .note.GNU-stack, "", %progbits
