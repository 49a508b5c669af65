/* The first instruction. The compiler's own start files would need the C library's newest way to start a
 * program (__libc_start_main of GLIBC_2.34), which older containers do not have; the first one still works
 * everywhere. Source: the System V ABI's x86-64 supplement, "Process Initialization". */

/* On entry: the stack pointer at argc, argv behind it, %rdx a function to be called at exit. Arguments of
 * __libc_start_main: main, argc, argv, init, fini, rtld_fini, stack end; the program has no init and fini of
 * its own. */
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
