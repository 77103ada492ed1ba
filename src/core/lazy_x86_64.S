/* The entry that an unbound PLT slot leads to, on x86-64.
 *
 * The PLT's first entry pushes GOT[1], which lazy.c made the image, and jumps through GOT[2] to here; the slot's own
 * entry pushed the relocation's index before.  So the stack holds, from the top: image, index, return address of the
 * call.  The call may be to any function, so everything that can carry an argument is kept: rax (the number of vector
 * registers of a variadic call), rdi rsi rdx rcx r8 r9, r10 (the static chain), r11 (left alone by some conventions),
 * the flags, and the vector registers in full (xsave; fxsave where the processor has no more).  Then the call goes on
 * as if the slot had been bound: through memory, so that no register is spent, and without a `ret`, so that a shadow
 * stack stays in step. */
#include <cet.h>

/* Offsets in the frame, from the aligned rsp.  The xsave area follows, aligned to 64 bytes. */
#define SAVED_RAX 0
#define SAVED_RCX 8
#define SAVED_RDX 16
#define SAVED_RSI 24
#define SAVED_RDI 32
#define SAVED_R8 40
#define SAVED_R9 48
#define SAVED_R10 56
#define SAVED_R11 64
#define VECTORS 128
#define HEADER (VECTORS + 512) /* 64 bytes of the xsave area: Intel SDM volume 1, 13.4.2 */

/* Offsets from rbx. */
#define IMAGE 16
#define INDEX 24

/* Aligns the stack, makes the frame and saves every register but rax in it; rax is free afterwards. */
        .macro  save_registers
        pushq   %rbx                            /* rbx will hold the old stack: calls preserve it */
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rsp, %rbx
        .cfi_def_cfa_register %rbx
        andq    $-64, %rsp                      /* xsave wants 64 */
        subq    lb_vectors+8(%rip), %rsp        /* .size: room for the vector registers, a multiple of 64 */
        subq    $VECTORS, %rsp                  /* room for the others */
        movq    %rax, SAVED_RAX(%rsp)
        movq    %rcx, SAVED_RCX(%rsp)
        movq    %rdx, SAVED_RDX(%rsp)
        movq    %rsi, SAVED_RSI(%rsp)
        movq    %rdi, SAVED_RDI(%rsp)
        movq    %r8, SAVED_R8(%rsp)
        movq    %r9, SAVED_R9(%rsp)
        movq    %r10, SAVED_R10(%rsp)
        movq    %r11, SAVED_R11(%rsp)
        movl    lb_vectors(%rip), %eax          /* .components: which to save; 0: there is no xsave */
        xorl    %edx, %edx                      /* the upper half of that mask */
        testl   %eax, %eax
        jz      1f
        movq    %rdx, HEADER(%rsp)              /* xrstor wants the header zero but for what xsave sets */
        movq    %rdx, HEADER+8(%rsp)
        movq    %rdx, HEADER+16(%rsp)
        movq    %rdx, HEADER+24(%rsp)
        movq    %rdx, HEADER+32(%rsp)
        movq    %rdx, HEADER+40(%rsp)
        movq    %rdx, HEADER+48(%rsp)
        movq    %rdx, HEADER+56(%rsp)
        xsave   VECTORS(%rsp)
        jmp     2f
1:      fxsave  VECTORS(%rsp)                   /* xmm0 to xmm15 and the x87 */
2:
        .endm

/* The way back, up to and with `popq %rbx`; rax comes from its place in the frame. */
        .macro  restore_registers
        movl    lb_vectors(%rip), %eax
        xorl    %edx, %edx
        testl   %eax, %eax
        jz      3f
        xrstor  VECTORS(%rsp)
        jmp     4f
3:      fxrstor VECTORS(%rsp)
4:      movq    SAVED_RAX(%rsp), %rax
        movq    SAVED_RCX(%rsp), %rcx
        movq    SAVED_RDX(%rsp), %rdx
        movq    SAVED_RSI(%rsp), %rsi
        movq    SAVED_RDI(%rsp), %rdi
        movq    SAVED_R8(%rsp), %r8
        movq    SAVED_R9(%rsp), %r9
        movq    SAVED_R10(%rsp), %r10
        movq    SAVED_R11(%rsp), %r11
        movq    %rbx, %rsp
        .cfi_def_cfa_register %rsp
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        .endm

        .text
        .globl  lb_lazy_entry
        .hidden lb_lazy_entry
        .type   lb_lazy_entry, @function
        .p2align 4
lb_lazy_entry:
        .cfi_startproc
        .cfi_adjust_cfa_offset 16               /* image and index stand above the return address */
        _CET_ENDBR                              /* an indirect jump leads here */
        pushfq                                  /* flags, before anything changes them */
        .cfi_adjust_cfa_offset 8
        save_registers
        movq    IMAGE(%rbx), %rdi               /* first argument: struct lb_image * */
        movq    INDEX(%rbx), %rsi               /* second: index in DT_JMPREL */
        call    lb_lazy_bind                    /* rax: the function */
        movq    %rax, IMAGE(%rbx)               /* over the image, which is not needed any more */
        restore_registers
        popfq
        .cfi_adjust_cfa_offset -8
        leaq    16(%rsp), %rsp                  /* drop image and index; lea, since add would change the flags */
        .cfi_adjust_cfa_offset -16
        jmp     *-16(%rsp)                      /* to the function, whose address lies in the red zone now */
        .cfi_endproc
        .size   lb_lazy_entry, . - lb_lazy_entry

/* The functions of TLS descriptors.  Their own calling convention (psABI, "TLS descriptors"): the descriptor's address
 * comes in rax, the variable's offset from the thread pointer goes back in rax, and every other register is preserved,
 * vectors included; only the flags may change.  First, a block at a fixed offset. */
        .globl  lb_tls_descriptor_static
        .hidden lb_tls_descriptor_static
        .type   lb_tls_descriptor_static, @function
        .p2align 4
lb_tls_descriptor_static:
        .cfi_startproc
        _CET_ENDBR                              /* called through the descriptor */
        movq    8(%rax), %rax                   /* its second word: the offset that relocate.c stored */
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_static, . - lb_tls_descriptor_static

/* An undefined weak variable: its address is the addend. */
        .globl  lb_tls_descriptor_undefined
        .hidden lb_tls_descriptor_undefined
        .type   lb_tls_descriptor_undefined, @function
        .p2align 4
lb_tls_descriptor_undefined:
        .cfi_startproc
        _CET_ENDBR
        movq    8(%rax), %rax                   /* the addend */
        subq    %fs:0, %rax                     /* from the thread pointer, which points to itself */
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_undefined, . - lb_tls_descriptor_undefined

/* Any other block. */
        .globl  lb_tls_descriptor_dynamic
        .hidden lb_tls_descriptor_dynamic
        .type   lb_tls_descriptor_dynamic, @function
        .p2align 4
lb_tls_descriptor_dynamic:
        .cfi_startproc
        _CET_ENDBR                              /* called through the descriptor */
        save_registers
        movq    SAVED_RAX(%rsp), %rdi           /* the descriptor */
        movq    8(%rdi), %rdi                   /* its second word: module and offset, as __tls_get_addr takes them */
        call    __tls_get_addr@PLT              /* rax: the variable's address in this thread */
        subq    %fs:0, %rax                     /* from the thread pointer, which points to itself */
        movq    %rax, SAVED_RAX(%rsp)
        restore_registers
        ret
        .cfi_endproc
        .size   lb_tls_descriptor_dynamic, . - lb_tls_descriptor_dynamic

        .section .note.GNU-stack, "", @progbits
