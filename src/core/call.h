/* Calls of C functions whose types are known only at run time: registers and stack, both ways.
 *
 * Where each argument goes is decided in Python (latebind/ffi/sysv.py, aapcs64.py) from the rules of the machine's
 * psABI, once for a prototype.  Here a call is an array of words: the argument registers, integers first, then vectors,
 * then the stack.  lb_call loads them, calls, and stores every register that can hold a result.  A callback arrives in
 * the same form through a stub (stubs.h) and lb_callback_entry.  No Python is known here: py_function.h is its face. */
#ifndef LATEBIND_CALL_H
#define LATEBIND_CALL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
/* psABI 3.2.3: rdi rsi rdx rcx r8 r9, then xmm0 to xmm7 (two words each), then the stack. */
#define LB_CALL_MACHINE "x86_64"
#define LB_CALL_INTEGERS 6u
#define LB_CALL_VECTORS 8u
#define LB_RESULT_X87 6u
#elif defined(__aarch64__)
/* AAPCS64 6.8.2: x0 to x7, then v0 to v7 (two words each), then the stack. */
#define LB_CALL_MACHINE "aarch64"
#define LB_CALL_INTEGERS 8u
#define LB_CALL_VECTORS 8u
#define LB_RESULT_X87 LB_RESULT_WORDS /* there is none */
#else
#error "no calls for this machine yet: write call_<machine>.S"
#endif

#define LB_CALL_STACK (LB_CALL_INTEGERS + 2 * LB_CALL_VECTORS) /* the word where the stack begins */
#define LB_CALL_WIDE 0x100u /* beside the number of vector registers: their upper halves hold arguments, too */

/* Words of a result: 0 rax, 1 rdx (x0, x1); from 2 on, two words each, xmm0, xmm1, st0, st1 (v0 to v3). */
#define LB_RESULT_WORDS 10u

struct lb_results { /* call_<machine>.S knows these offsets */
    uint64_t words[LB_RESULT_WORDS];
    uint64_t indirect;  /* x8: where a result in memory goes, on machines where that is no argument */
    uint32_t x87_count; /* how many of st0 and st1 to store, or to load: reading pops them */
};

/* Calls `target` with the registers and `stack_words` words of stack in `words`.  `vectors` is how many vector registers
 * hold arguments (a variadic function on x86-64 is told in al, psABI 3.5.7), and LB_CALL_WIDE where that is meant. */
void lb_call(uint64_t target, const uint64_t *words, size_t stack_words, uint32_t vectors, struct lb_results *results);

/* Code of call_<machine>.S, for a stub's `entry`; not callable from C: it takes the record in a scratch register. */
void lb_callback_entry(void);

/* What lb_callback_entry calls: `closure` is the stub's target, `registers` the words before LB_CALL_STACK, `stack` those
 * behind it.  It fills `results` and sets their x87_count.  Defined in py_closure.c. */
void lb_callback_run(void *closure, const uint64_t *registers, const uint64_t *stack, struct lb_results *results);

#endif
