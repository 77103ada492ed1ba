/* The entry of an observed stub on AArch64: show the arguments to lb_stub_report, then be as if nothing had happened.
 *
 * In: x17 = the stub's record (struct lb_stub); the stack and all other registers as the caller of the function left
 * them.  Out: a jump to the record's target with everything but x16 and x17 unchanged, v0 to v31 included (what is
 * longer in SVE registers is not kept: functions that take it must not be observed), so that the callee returns
 * straight to its caller and exceptions pass. */
#define LANDING_PAD hint #34            /* bti c: reached by an indirect jump */
#if defined(__ARM_FEATURE_BTI_DEFAULT)  /* all code here is marked so: lazy_aarch64.S */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .word   4, 16, 5
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0
#endif

#define SHOWN         16                /* struct lb_stub_frame: */
#define SHOWN_X       SHOWN             /* integers, */
#define SHOWN_V       (SHOWN + 64)      /* the vector registers, */
#define SHOWN_CALLER  (SHOWN + 192)     /* caller */
#define SAVED_TARGET  216
#define SAVED_X       224               /* x8 to x15, x18 */
#define SAVED_V       304
#define FRAME         816

        .text
        .globl  lb_stub_observe
        .hidden lb_stub_observe
        .type   lb_stub_observe, %function
        .p2align 4
lb_stub_observe:
        .cfi_startproc
        LANDING_PAD
        sub     sp, sp, #FRAME
        .cfi_def_cfa_offset FRAME
        stp     x29, x30, [sp]
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        mov     x29, sp
        stp     x0, x1, [sp, #SHOWN_X]
        stp     x2, x3, [sp, #SHOWN_X + 16]
        stp     x4, x5, [sp, #SHOWN_X + 32]
        stp     x6, x7, [sp, #SHOWN_X + 48]
        stp     q0, q1, [sp, #SHOWN_V]
        stp     q2, q3, [sp, #SHOWN_V + 32]
        stp     q4, q5, [sp, #SHOWN_V + 64]
        stp     q6, q7, [sp, #SHOWN_V + 96]
        ldr     x16, [x17, #8]                  /* the target now: the record may be gone after the report */
        stp     x30, x16, [sp, #SHOWN_CALLER]   /* and SAVED_TARGET */
        stp     x8, x9, [sp, #SAVED_X]
        stp     x10, x11, [sp, #SAVED_X + 16]
        stp     x12, x13, [sp, #SAVED_X + 32]
        stp     x14, x15, [sp, #SAVED_X + 48]
        str     x18, [sp, #SAVED_X + 64]
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        str     q\n, [sp, #SAVED_V + 16 * \n]
        .endr
        mov     x0, x17                         /* report(record, */
        add     x1, sp, #SHOWN                  /*        frame, */
        add     x2, sp, #FRAME                  /*        arguments on the stack) */
        bl      lb_stub_report
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        ldr     q\n, [sp, #SAVED_V + 16 * \n]
        .endr
        ldr     x18, [sp, #SAVED_X + 64]
        ldp     x14, x15, [sp, #SAVED_X + 48]
        ldp     x12, x13, [sp, #SAVED_X + 32]
        ldp     x10, x11, [sp, #SAVED_X + 16]
        ldp     x8, x9, [sp, #SAVED_X]
        ldr     x16, [sp, #SAVED_TARGET]
        ldp     x6, x7, [sp, #SHOWN_X + 48]
        ldp     x4, x5, [sp, #SHOWN_X + 32]
        ldp     x2, x3, [sp, #SHOWN_X + 16]
        ldp     x0, x1, [sp, #SHOWN_X]
        ldp     x29, x30, [sp]
        add     sp, sp, #FRAME                  /* the stack as it was */
        .cfi_def_cfa_offset 0
        .cfi_restore 29
        .cfi_restore 30
        br      x16                             /* through x16: a `bti c` will do as a landing pad */
        .cfi_endproc
        .size   lb_stub_observe, . - lb_stub_observe

        .section .note.GNU-stack, "", %progbits
