/* Stubs: small pieces of generated code that stand between a reference and its definition.
 *
 *     reference ─▶ stub ─▶ record.entry ─▶ record.target
 *
 * The code of a stub never changes: it loads the address of its record and jumps through it.  What it does is data: a
 * record whose entry is its target is a plain detour that can be pointed elsewhere at any time (a hook, and the
 * original again when the interpreter goes away); one whose entry is lb_stub_observe reports the call first.
 * Code pages are written once and then made executable; records stay writable and are never executable (W^X). */
#ifndef LATEBIND_STUBS_H
#define LATEBIND_STUBS_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"

/* Argument registers that an observer sees, as a call of ours fills them (call.h): integers and addresses, vectors. */
#if defined(__x86_64__)
#define LB_STUB_INTEGERS 6u /* psABI 3.2.3 */
#else
#define LB_STUB_INTEGERS 8u /* AAPCS64 6.4 */
#endif
#define LB_STUB_VECTORS 8u

struct lb_stubs;

struct lb_stub { /* a record; the stub's code and lb_stub_observe know the first two offsets */
    uint64_t entry;          /* where the stub jumps */
    uint64_t target;         /* where the call ends up */
    struct lb_stubs *owner;
    uint32_t number;
    uint32_t stack_words;    /* how many words of arguments on the stack the observer wants */
};

struct lb_stub_frame { /* the state at the call, as stub_<machine>.S lays it out */
    uint64_t integers[LB_STUB_INTEGERS];
    uint64_t vectors[LB_STUB_VECTORS][2];
    uint64_t caller; /* where the call returns to */
};

/* Called in the calling thread before the target is.  `stack` holds the arguments that found no register. */
typedef void lb_observer(const struct lb_stub *stub, const struct lb_stub_frame *frame, const uint64_t *stack);

struct lb_stubs { /* `count` stubs in one mapping */
    uint8_t *code;           /* also the mapping's start */
    struct lb_stub *records; /* on pages of their own behind the code */
    uint32_t count;
    size_t size; /* of the mapping, in bytes */
    lb_observer *observer;
    void *context; /* the observer's */
};

/* Makes `count` stubs whose calls end in a message and abort() until they are pointed somewhere. */
int lb_stubs_make(struct lb_stubs *stubs, uint32_t count, lb_observer *observer, void *context, struct lb_error *error);
void lb_stubs_free(struct lb_stubs *stubs);

uint64_t lb_stub_address(const struct lb_stubs *stubs, uint32_t index);
/* Target 0: nowhere. */
void lb_stub_point(struct lb_stubs *stubs, uint32_t index, uint64_t target);
void lb_stub_observed(struct lb_stubs *stubs, uint32_t index, uint64_t target, uint32_t stack_words);

#endif
