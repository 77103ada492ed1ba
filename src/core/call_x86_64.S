/* Calls and callbacks on x86-64, System V psABI 3.2; call.h says what they are for. */
#if defined(__x86_64__)

#define WORD_VECTORS 48      /* bytes into the words: 6 integer registers before the vectors, */
#define WORD_STACK   176     /* 8 vectors of two words before the stack */
#define WIDE         0x100   /* LB_CALL_WIDE */
#define RESULT_VECTORS 16    /* bytes into struct lb_results */
#define RESULT_ST0     48
#define RESULT_ST1     64
#define RESULT_X87     88    /* x87_count, behind `indirect`, which is for other machines */

    .text
/* void lb_call(target %rdi, words %rsi, stack_words %rdx, vectors %ecx, results %r8) */
    .globl  lb_call
    .hidden lb_call
    .type   lb_call, @function
    .p2align 4
lb_call:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq   %rbx                             /* two pushes: the stack is at a multiple of 16 again */
    pushq   %rbx
    .cfi_offset %rbx, -24
    movq    %r8, %rbx                        /* results: survives the call */
    movq    %rdi, %r11                       /* target, and */
    movq    %rsi, %r10                       /* words: neither register holds an argument */
    movl    %ecx, %eax                       /* al: the number of vector registers (3.5.7) */
    testq   %rdx, %rdx
    jz      2f
    leaq    0(,%rdx,8), %r9                  /* room for the stack words, at a multiple of 16 bytes (3.2.2), or */
    subq    %r9, %rsp                        /* of what an argument that is aligned more strictly may ask for */
    andq    $-64, %rsp
1:  movq    WORD_STACK-8(%r10,%rdx,8), %r9   /* from the last to the first */
    movq    %r9, -8(%rsp,%rdx,8)
    decq    %rdx
    jnz     1b
2:  testl   %eax, %eax
    jz      3f
    testl   $WIDE, %eax
    jnz     6f
    movsd   WORD_VECTORS+0(%r10), %xmm0
    movsd   WORD_VECTORS+16(%r10), %xmm1
    movsd   WORD_VECTORS+32(%r10), %xmm2
    movsd   WORD_VECTORS+48(%r10), %xmm3
    movsd   WORD_VECTORS+64(%r10), %xmm4
    movsd   WORD_VECTORS+80(%r10), %xmm5
    movsd   WORD_VECTORS+96(%r10), %xmm6
    movsd   WORD_VECTORS+112(%r10), %xmm7
3:  movq    0(%r10), %rdi
    movq    8(%r10), %rsi
    movq    16(%r10), %rdx
    movq    24(%r10), %rcx
    movq    32(%r10), %r8
    movq    40(%r10), %r9
    call    *%r11
    movq    %rax, 0(%rbx)
    movq    %rdx, 8(%rbx)
    movups  %xmm0, RESULT_VECTORS+0(%rbx)
    movups  %xmm1, RESULT_VECTORS+16(%rbx)
    movl    RESULT_X87(%rbx), %ecx
    testl   %ecx, %ecx
    jnz     5f
4:  movq    -8(%rbp), %rbx
    leave
    .cfi_remember_state
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_restore_state
5:  fstpt   RESULT_ST0(%rbx)                 /* a long double, or the real part of a complex one */
    decl    %ecx
    jz      4b
    fstpt   RESULT_ST1(%rbx)                 /* its imaginary part */
    jmp     4b
/* Whole registers.  Not always: a load of 16 bytes of which 8 were just stored waits until the store has left the core. */
6:  movups  WORD_VECTORS+0(%r10), %xmm0
    movups  WORD_VECTORS+16(%r10), %xmm1
    movups  WORD_VECTORS+32(%r10), %xmm2
    movups  WORD_VECTORS+48(%r10), %xmm3
    movups  WORD_VECTORS+64(%r10), %xmm4
    movups  WORD_VECTORS+80(%r10), %xmm5
    movups  WORD_VECTORS+96(%r10), %xmm6
    movups  WORD_VECTORS+112(%r10), %xmm7
    jmp     3b
    .cfi_endproc
    .size   lb_call, . - lb_call

#define FRAME_RESULTS 176    /* struct lb_results, behind the registers */
#define FRAME_SIZE    272

/* In: %r11 = the stub's record (struct lb_stub), all else as the caller of the callback left it. */
    .globl  lb_callback_entry
    .hidden lb_callback_entry
    .type   lb_callback_entry, @function
    .p2align 4
lb_callback_entry:
    .cfi_startproc
    endbr64                                  /* reached by an indirect jump */
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register %rbp
    subq    $FRAME_SIZE, %rsp
    movq    %rdi, 0(%rsp)
    movq    %rsi, 8(%rsp)
    movq    %rdx, 16(%rsp)
    movq    %rcx, 24(%rsp)
    movq    %r8, 32(%rsp)
    movq    %r9, 40(%rsp)
    movups  %xmm0, WORD_VECTORS+0(%rsp)
    movups  %xmm1, WORD_VECTORS+16(%rsp)
    movups  %xmm2, WORD_VECTORS+32(%rsp)
    movups  %xmm3, WORD_VECTORS+48(%rsp)
    movups  %xmm4, WORD_VECTORS+64(%rsp)
    movups  %xmm5, WORD_VECTORS+80(%rsp)
    movups  %xmm6, WORD_VECTORS+96(%rsp)
    movups  %xmm7, WORD_VECTORS+112(%rsp)
    movq    8(%r11), %rdi                    /* closure: the record's target */
    movq    %rsp, %rsi                       /* registers */
    leaq    16(%rbp), %rdx                   /* stack: behind the saved rbp and the return address */
    leaq    FRAME_RESULTS(%rsp), %rcx        /* results */
    call    lb_callback_run
    movl    FRAME_RESULTS+RESULT_X87(%rsp), %ecx
    testl   %ecx, %ecx
    jnz     2f
1:  movq    FRAME_RESULTS+0(%rsp), %rax
    movq    FRAME_RESULTS+8(%rsp), %rdx
    movups  FRAME_RESULTS+RESULT_VECTORS+0(%rsp), %xmm0
    movups  FRAME_RESULTS+RESULT_VECTORS+16(%rsp), %xmm1
    leave
    .cfi_remember_state
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_restore_state
2:  decl    %ecx
    jz      3f
    fldt    FRAME_RESULTS+RESULT_ST1(%rsp)   /* the deeper one first */
3:  fldt    FRAME_RESULTS+RESULT_ST0(%rsp)
    jmp     1b
    .cfi_endproc
    .size   lb_callback_entry, . - lb_callback_entry

#endif

    .section .note.GNU-stack, "", @progbits  /* no executable stack */
