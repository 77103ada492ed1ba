/* The entry that an unbound PLT slot leads to, and the functions of TLS descriptors, on AArch64.
 *
 * Each begins with `bti c`, the mark of a target of calls and of jumps through x16 and x17: it means nothing to older
 * processors.  The AAPCS64 (6.1) lets veneers change x16 and x17 between caller and callee, and nobody else anything. */

/* For the link editor: all code here is marked so (GNU property AARCH64_FEATURE_1_AND). */
#define LANDING_PAD hint #34            /* bti c, for assemblers that do not know it */
#if defined(__ARM_FEATURE_BTI_DEFAULT)
        .section .note.gnu.property, "a", %note
        .p2align 3
        .word   4, 16, 5                        /* sizes of name and description; NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0             /* GNU_PROPERTY_AARCH64_FEATURE_1_AND, its size, BTI, padding */
#endif

/* ---- lazy binding ------------------------------------------------------------------------------------------------
 * The slot's own PLT entry left the slot's address in x16 and jumped to the PLT's first entry, which pushed x16 and
 * x30, made x16 the address of GOT[2], and jumped through it to here; GOT[1] is the image (lazy.c).  So:
 * [sp] = slot, [sp + 8] = x30 = return address of the call, x16 = GOT + 16.
 * Everything that can carry an argument is kept: x0 to x7, x8 (where a result goes), x9 to x15 and x18 (a static chain
 * is in one of them), and v0 to v7 in full.  Functions that take more (SVE) are bound at once: relocate_aarch64.h. */
#define FRAME   288
#define SAVED_X 16
#define SAVED_V 160
#define SLOT    FRAME

        .text
        .globl  lb_lazy_entry
        .hidden lb_lazy_entry
        .type   lb_lazy_entry, %function
        .p2align 4
lb_lazy_entry:
        .cfi_startproc
        .cfi_def_cfa_offset 16                  /* the two words that the PLT pushed */
        .cfi_offset 30, -8
        LANDING_PAD
        stp     x29, x30, [sp, #-FRAME]!
        .cfi_def_cfa_offset FRAME + 16
        .cfi_rel_offset 29, 0
        mov     x29, sp
        stp     x0, x1, [sp, #SAVED_X]
        stp     x2, x3, [sp, #SAVED_X + 16]
        stp     x4, x5, [sp, #SAVED_X + 32]
        stp     x6, x7, [sp, #SAVED_X + 48]
        stp     x8, x9, [sp, #SAVED_X + 64]
        stp     x10, x11, [sp, #SAVED_X + 80]
        stp     x12, x13, [sp, #SAVED_X + 96]
        stp     x14, x15, [sp, #SAVED_X + 112]
        str     x18, [sp, #SAVED_X + 128]
        stp     q0, q1, [sp, #SAVED_V]
        stp     q2, q3, [sp, #SAVED_V + 32]
        stp     q4, q5, [sp, #SAVED_V + 64]
        stp     q6, q7, [sp, #SAVED_V + 96]
        ldr     x0, [x16, #-8]                  /* first argument: struct lb_image *, from GOT[1] */
        ldr     x1, [sp, #SLOT]
        sub     x1, x1, x16                     /* how far behind GOT[2] the slot is */
        lsr     x1, x1, #3
        sub     x1, x1, #1                      /* second: index in DT_JMPREL; GOT[3] is the first record's */
        bl      lb_lazy_bind                    /* x0: the function */
        mov     x16, x0
        ldp     q6, q7, [sp, #SAVED_V + 96]
        ldp     q4, q5, [sp, #SAVED_V + 64]
        ldp     q2, q3, [sp, #SAVED_V + 32]
        ldp     q0, q1, [sp, #SAVED_V]
        ldr     x18, [sp, #SAVED_X + 128]
        ldp     x14, x15, [sp, #SAVED_X + 112]
        ldp     x12, x13, [sp, #SAVED_X + 96]
        ldp     x10, x11, [sp, #SAVED_X + 80]
        ldp     x8, x9, [sp, #SAVED_X + 64]
        ldp     x6, x7, [sp, #SAVED_X + 48]
        ldp     x4, x5, [sp, #SAVED_X + 32]
        ldp     x2, x3, [sp, #SAVED_X + 16]
        ldp     x0, x1, [sp, #SAVED_X]
        ldp     x29, x30, [sp], #FRAME          /* x30 again: the call's return address */
        .cfi_def_cfa_offset 16
        .cfi_restore 29
        .cfi_restore 30
        add     sp, sp, #16                     /* drop what the PLT pushed */
        .cfi_def_cfa_offset 0
        br      x16                             /* through x16: a `bti c` will do as a landing pad */
        .cfi_endproc
        .size   lb_lazy_entry, . - lb_lazy_entry

/* ---- TLS descriptors ----------------------------------------------------------------------------------------------
 * Their own calling convention (System V ABI for the Arm 64-bit Architecture, "TLS descriptors"): the descriptor's
 * address comes in x0, the variable's offset from the thread pointer goes back in x0, and every other register but x30
 * is preserved, v0 to v31 included; only the condition flags may change. */

/* A block at a fixed offset. */
        .globl  lb_tls_descriptor_static
        .hidden lb_tls_descriptor_static
        .type   lb_tls_descriptor_static, %function
        .p2align 4
lb_tls_descriptor_static:
        .cfi_startproc
        LANDING_PAD
        ldr     x0, [x0, #8]                    /* the descriptor's second word: the offset */
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_static, . - lb_tls_descriptor_static

/* An undefined weak variable: its address is the addend. */
        .globl  lb_tls_descriptor_undefined
        .hidden lb_tls_descriptor_undefined
        .type   lb_tls_descriptor_undefined, %function
        .p2align 4
lb_tls_descriptor_undefined:
        .cfi_startproc
        LANDING_PAD
        str     x1, [sp, #-16]!
        .cfi_def_cfa_offset 16
        ldr     x0, [x0, #8]                    /* the addend */
        mrs     x1, tpidr_el0                   /* the thread pointer */
        sub     x0, x0, x1
        ldr     x1, [sp], #16
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_undefined, . - lb_tls_descriptor_undefined

/* Any other block: __tls_get_addr, a C function, with all around it saved that C may change. */
#define TLS_FRAME   672
#define TLS_SAVED_X 16
#define TLS_SAVED_V 160
        .globl  lb_tls_descriptor_dynamic
        .hidden lb_tls_descriptor_dynamic
        .type   lb_tls_descriptor_dynamic, %function
        .p2align 4
lb_tls_descriptor_dynamic:
        .cfi_startproc
        LANDING_PAD
        sub     sp, sp, #TLS_FRAME
        .cfi_def_cfa_offset TLS_FRAME
        stp     x29, x30, [sp]
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        mov     x29, sp
        stp     x1, x2, [sp, #TLS_SAVED_X]
        stp     x3, x4, [sp, #TLS_SAVED_X + 16]
        stp     x5, x6, [sp, #TLS_SAVED_X + 32]
        stp     x7, x8, [sp, #TLS_SAVED_X + 48]
        stp     x9, x10, [sp, #TLS_SAVED_X + 64]
        stp     x11, x12, [sp, #TLS_SAVED_X + 80]
        stp     x13, x14, [sp, #TLS_SAVED_X + 96]
        stp     x15, x16, [sp, #TLS_SAVED_X + 112]
        stp     x17, x18, [sp, #TLS_SAVED_X + 128]
        .irp    n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
        str     q\n, [sp, #TLS_SAVED_V + 16 * \n]
        .endr
        .irp    n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31 /* v8 to v15 too: C keeps their low halves */
        str     q\n, [sp, #TLS_SAVED_V + 16 * \n]
        .endr
        ldr     x0, [x0, #8]                    /* the second word: module and offset, as __tls_get_addr takes them */
        bl      __tls_get_addr                  /* x0: the variable's address in this thread */
        mrs     x1, tpidr_el0
        sub     x0, x0, x1                      /* from the thread pointer */
        .irp    n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
        ldr     q\n, [sp, #TLS_SAVED_V + 16 * \n]
        .endr
        .irp    n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
        ldr     q\n, [sp, #TLS_SAVED_V + 16 * \n]
        .endr
        ldp     x17, x18, [sp, #TLS_SAVED_X + 128]
        ldp     x15, x16, [sp, #TLS_SAVED_X + 112]
        ldp     x13, x14, [sp, #TLS_SAVED_X + 96]
        ldp     x11, x12, [sp, #TLS_SAVED_X + 80]
        ldp     x9, x10, [sp, #TLS_SAVED_X + 64]
        ldp     x7, x8, [sp, #TLS_SAVED_X + 48]
        ldp     x5, x6, [sp, #TLS_SAVED_X + 32]
        ldp     x3, x4, [sp, #TLS_SAVED_X + 16]
        ldp     x1, x2, [sp, #TLS_SAVED_X]
        ldp     x29, x30, [sp]
        add     sp, sp, #TLS_FRAME
        .cfi_def_cfa_offset 0
        .cfi_restore 29
        .cfi_restore 30
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_dynamic, . - lb_tls_descriptor_dynamic

        .section .note.GNU-stack, "", %progbits
