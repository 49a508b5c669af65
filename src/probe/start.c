/* The first instruction. The compiler's own start files would need the C library's newest way to start a
 * program (__libc_start_main of GLIBC_2.34), which older containers do not have; the first one still works
 * everywhere. Sources: the System V ABI's supplements, "Process Initialization"; for arm64 also glibc's
 * sysdeps/aarch64/start.S. */

/* Arguments of __libc_start_main: main, argc, argv, init, fini, rtld_fini, stack end; the program has no init
 * and fini of its own. On entry the stack pointer is at argc, with argv behind it, and a register holds a
 * function to be called at exit: %rdx, x0. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xorl %ebp, %ebp\n" /* the outermost frame */
        "    movq %rdx, %r9\n"
        "    movq (%rsp), %rsi\n"
        "    leaq 8(%rsp), %rdx\n"
        "    andq $-16, %rsp\n"
        "    pushq %rsp\n" /* keeps the stack aligned at the call, with the argument below */
        "    pushq %rsp\n"
        "    xorl %r8d, %r8d\n"
        "    xorl %ecx, %ecx\n"
        "    leaq main(%rip), %rdi\n"
        "    call __libc_start_main@PLT\n"
        "    hlt\n"
        ".size _start, . - _start\n"
        ".section .note.GNU-stack, \"\", @progbits\n"
        ".text\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, %function\n"
        "_start:\n"
        "    mov x29, #0\n" /* the outermost frame */
        "    mov x30, #0\n"
        "    mov x5, x0\n"
        "    ldr x1, [sp]\n"
        "    add x2, sp, #8\n"
        "    mov x6, sp\n"
        "    adrp x0, main\n"
        "    add x0, x0, :lo12:main\n"
        "    mov x3, #0\n"
        "    mov x4, #0\n"
        "    bl __libc_start_main\n"
        "    brk #0\n"
        ".size _start, . - _start\n"
        ".section .note.GNU-stack, \"\", %progbits\n"
        ".text\n");
#endif
