/* Calls and callbacks on AArch64, AAPCS64 6.8; call.h says what they are for. */
#if defined(__aarch64__)

#define LANDING_PAD hint #34            /* bti c: reached by an indirect jump */
#if defined(__ARM_FEATURE_BTI_DEFAULT)  /* all code here is marked so */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .word   4, 16, 5
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0
#endif

#define WORD_VECTORS    64      /* bytes into the words: 8 integer registers before the vectors, */
#define WORD_STACK      192     /* 8 vectors of two words before the stack */
#define WIDE            8       /* the bit of LB_CALL_WIDE */
#define RESULT_VECTORS  16      /* bytes into struct lb_results */
#define RESULT_INDIRECT 80

        .text
/* void lb_call(target x0, words x1, stack_words x2, vectors w3, results x4) */
        .globl  lb_call
        .hidden lb_call
        .type   lb_call, %function
        .p2align 4
lb_call:
        .cfi_startproc
        LANDING_PAD
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        mov     x29, sp
        .cfi_def_cfa_register 29
        str     x19, [sp, #16]
        .cfi_rel_offset 19, 16
        mov     x19, x4                         /* results: survives the call */
        mov     x16, x0                         /* target: free between caller and callee */
        mov     x17, x1                         /* words */
        cbz     x2, 2f
        add     x9, x2, #1                      /* room for the stack words, a multiple of 16 bytes (6.4.5.1) */
        and     x9, x9, #-2
        sub     sp, sp, x9, lsl #3
        add     x10, x17, #WORD_STACK
1:      sub     x2, x2, #1                      /* from the last to the first */
        ldr     x11, [x10, x2, lsl #3]
        str     x11, [sp, x2, lsl #3]
        cbnz    x2, 1b
2:      cbz     w3, 3f
        tbnz    w3, #WIDE, 4f
        ldr     d0, [x17, #WORD_VECTORS + 0]
        ldr     d1, [x17, #WORD_VECTORS + 16]
        ldr     d2, [x17, #WORD_VECTORS + 32]
        ldr     d3, [x17, #WORD_VECTORS + 48]
        ldr     d4, [x17, #WORD_VECTORS + 64]
        ldr     d5, [x17, #WORD_VECTORS + 80]
        ldr     d6, [x17, #WORD_VECTORS + 96]
        ldr     d7, [x17, #WORD_VECTORS + 112]
3:      ldr     x8, [x19, #RESULT_INDIRECT]     /* where a result in memory goes (6.9) */
        ldp     x0, x1, [x17]
        ldp     x2, x3, [x17, #16]
        ldp     x4, x5, [x17, #32]
        ldp     x6, x7, [x17, #48]
        blr     x16
        stp     x0, x1, [x19]
        stp     q0, q1, [x19, #RESULT_VECTORS]
        stp     q2, q3, [x19, #RESULT_VECTORS + 32]
        mov     sp, x29
        ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        .cfi_remember_state
        .cfi_def_cfa 31, 0
        .cfi_restore 19
        .cfi_restore 29
        .cfi_restore 30
        ret
        .cfi_restore_state
/* Whole registers.  Not always: a load of 16 bytes of which 8 were just stored waits until the store has left the core. */
4:      ldp     q0, q1, [x17, #WORD_VECTORS]
        ldp     q2, q3, [x17, #WORD_VECTORS + 32]
        ldp     q4, q5, [x17, #WORD_VECTORS + 64]
        ldp     q6, q7, [x17, #WORD_VECTORS + 96]
        b       3b
        .cfi_endproc
        .size   lb_call, . - lb_call

#define FRAME_WORDS     16
#define FRAME_RESULTS   208
#define FRAME_SIZE      304

/* In: x17 = the stub's record (struct lb_stub), all else as the caller of the callback left it. */
        .globl  lb_callback_entry
        .hidden lb_callback_entry
        .type   lb_callback_entry, %function
        .p2align 4
lb_callback_entry:
        .cfi_startproc
        LANDING_PAD
        sub     sp, sp, #FRAME_SIZE
        .cfi_def_cfa_offset FRAME_SIZE
        stp     x29, x30, [sp]
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        mov     x29, sp
        stp     x0, x1, [sp, #FRAME_WORDS]
        stp     x2, x3, [sp, #FRAME_WORDS + 16]
        stp     x4, x5, [sp, #FRAME_WORDS + 32]
        stp     x6, x7, [sp, #FRAME_WORDS + 48]
        stp     q0, q1, [sp, #FRAME_WORDS + WORD_VECTORS]
        stp     q2, q3, [sp, #FRAME_WORDS + WORD_VECTORS + 32]
        stp     q4, q5, [sp, #FRAME_WORDS + WORD_VECTORS + 64]
        stp     q6, q7, [sp, #FRAME_WORDS + WORD_VECTORS + 96]
        str     x8, [sp, #FRAME_RESULTS + RESULT_INDIRECT]
        ldr     x0, [x17, #8]                   /* closure: the record's target */
        add     x1, sp, #FRAME_WORDS            /* registers */
        add     x2, sp, #FRAME_SIZE             /* stack */
        add     x3, sp, #FRAME_RESULTS          /* results */
        bl      lb_callback_run
        ldp     x0, x1, [sp, #FRAME_RESULTS]
        ldp     q0, q1, [sp, #FRAME_RESULTS + RESULT_VECTORS]
        ldp     q2, q3, [sp, #FRAME_RESULTS + RESULT_VECTORS + 32]
        ldp     x29, x30, [sp]
        add     sp, sp, #FRAME_SIZE
        .cfi_def_cfa_offset 0
        .cfi_restore 29
        .cfi_restore 30
        ret
        .cfi_endproc
        .size   lb_callback_entry, . - lb_callback_entry

#endif

        .section .note.GNU-stack, "", %progbits  /* no executable stack */
