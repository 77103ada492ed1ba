/* The entry of an observed stub on x86-64: show the arguments to lb_stub_report, then be as if nothing had happened.
 *
 * In: r11 = the stub's record (struct lb_stub); the stack and all other registers as the caller of the function left
 * them.  Out: a jump to the record's target with everything but r11 unchanged, vectors included, so that the callee
 * returns straight to its caller and exceptions pass. */
#define FRAME_INTEGERS 0
#define FRAME_VECTORS  48
#define FRAME_CALLER   176
#define SAVED_RAX      184
#define SAVED_R10      192
#define SAVED_TARGET   200
#define FRAME_SIZE     208

    .text
    .globl  lb_stub_observe
    .hidden lb_stub_observe
    .type   lb_stub_observe, @function
    .p2align 4
lb_stub_observe:
    .cfi_startproc
    endbr64                                  /* reached by an indirect jump */
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp                       /* 8(%rbp): the return address */
    .cfi_def_cfa_register %rbp
    subq    $FRAME_SIZE, %rsp
    movq    %rdi, FRAME_INTEGERS+0(%rsp)     /* struct lb_stub_frame: integers in the order of the psABI */
    movq    %rsi, FRAME_INTEGERS+8(%rsp)
    movq    %rdx, FRAME_INTEGERS+16(%rsp)
    movq    %rcx, FRAME_INTEGERS+24(%rsp)
    movq    %r8, FRAME_INTEGERS+32(%rsp)
    movq    %r9, FRAME_INTEGERS+40(%rsp)
    movups  %xmm0, FRAME_VECTORS+0(%rsp)    /* and the vector registers */
    movups  %xmm1, FRAME_VECTORS+16(%rsp)
    movups  %xmm2, FRAME_VECTORS+32(%rsp)
    movups  %xmm3, FRAME_VECTORS+48(%rsp)
    movups  %xmm4, FRAME_VECTORS+64(%rsp)
    movups  %xmm5, FRAME_VECTORS+80(%rsp)
    movups  %xmm6, FRAME_VECTORS+96(%rsp)
    movups  %xmm7, FRAME_VECTORS+112(%rsp)
    movq    %rax, SAVED_RAX(%rsp)            /* al: the number of vector registers of a variadic call */
    movq    %r10, SAVED_R10(%rsp)            /* the static chain */
    movq    8(%rbp), %rax                    /* the return address */
    movq    %rax, FRAME_CALLER(%rsp)
    movq    8(%r11), %rax                    /* the target now: the record may be gone after the report */
    movq    %rax, SAVED_TARGET(%rsp)
    movq    %r11, %rdi                       /* report(record, */
    movq    %rsp, %rsi                       /*        frame, arguments on the stack) */
    movq    lb_vector_state_size(%rip), %rax
    testq   %rax, %rax
    jz      1f                               /* no XSAVE on this machine */

    subq    %rax, %rsp                       /* room for the vector state, */
    andq    $-64, %rsp                       /* aligned as XSAVE demands */
    xorl    %edx, %edx
    movq    %rdx, 512(%rsp)                  /* the header must be zero: XSAVE writes only part of it */
    movq    %rdx, 520(%rsp)
    movq    %rdx, 528(%rsp)
    movq    %rdx, 536(%rsp)
    movq    %rdx, 544(%rsp)
    movq    %rdx, 552(%rsp)
    movq    %rdx, 560(%rsp)
    movq    %rdx, 568(%rsp)
    movl    $0xe6, %eax                      /* LB_VECTOR_STATE in edx:eax */
    xsave   (%rsp)
    leaq    16(%rbp), %rdx
    call    lb_stub_report
    xorl    %edx, %edx
    movl    $0xe6, %eax
    xrstor  (%rsp)
    jmp     2f

1:  subq    $512, %rsp
    andq    $-16, %rsp
    fxsave  (%rsp)
    leaq    16(%rbp), %rdx
    call    lb_stub_report
    fxrstor (%rsp)

2:  leaq    -FRAME_SIZE(%rbp), %rsp          /* back to the frame */
    movq    FRAME_INTEGERS+0(%rsp), %rdi
    movq    FRAME_INTEGERS+8(%rsp), %rsi
    movq    FRAME_INTEGERS+16(%rsp), %rdx
    movq    FRAME_INTEGERS+24(%rsp), %rcx
    movq    FRAME_INTEGERS+32(%rsp), %r8
    movq    FRAME_INTEGERS+40(%rsp), %r9
    movq    SAVED_RAX(%rsp), %rax
    movq    SAVED_R10(%rsp), %r10
    movq    SAVED_TARGET(%rsp), %r11
    leave                                    /* the stack as it was */
    .cfi_def_cfa %rsp, 8
    jmp     *%r11
    .cfi_endproc
    .size   lb_stub_observe, . - lb_stub_observe

    .section .note.GNU-stack, "", @progbits  /* no executable stack */
