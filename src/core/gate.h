/* What a call of a plugin passes: the gate of its plugin, and the lock of a plugin that takes one call at a time.
 *
 * A gate is open, or held while the code behind it is exchanged.  Whoever holds it waits until those inside have left;
 * calls that arrive in the meantime wait outside.  So each call runs in exactly one generation of the code.  A call from
 * within a call of the same thread never waits at the gate: the outer one could not end.
 *
 * Nothing here knows Python, and waiting is in slices, so that a caller can look for signals in between. */
#ifndef LATEBIND_GATE_H
#define LATEBIND_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct lb_gate {
    uint32_t inside; /* threads inside; a futex while the gate is held */
    uint32_t held;   /* 1 while held; a futex for those outside */
};

/* A thread that is inside a gate: where its outermost call keeps it, until it leaves. */
struct lb_inside {
    struct lb_inside *outer;
    struct lb_gate *gate;
    uint32_t by_hand; /* how often Gate.enter was called and Gate.leave was not (py_gate.c) */
    bool is_made_by_hand;
};

/* The mark by which this thread is inside, or NULL. */
struct lb_inside *lb_gate_inside(const struct lb_gate *gate);
/* Enters unless the gate is held; a thread that is inside already must not.  `mark` stays in place until the leave. */
bool lb_gate_enter(struct lb_gate *gate, struct lb_inside *mark);
void lb_gate_leave(struct lb_inside *mark);
/* Outside of a held gate: returns when it may be open, at the latest after `nanoseconds`. */
void lb_gate_wait(struct lb_gate *gate, int64_t nanoseconds);

/* One holder at a time: the caller sees to that. */
void lb_gate_hold(struct lb_gate *gate);
void lb_gate_open(struct lb_gate *gate);
bool lb_gate_is_empty(const struct lb_gate *gate);
/* Of the holder: returns when the gate may be empty, at the latest after `nanoseconds`. */
void lb_gate_drain(struct lb_gate *gate, int64_t nanoseconds);

/* A lock that its owner may take again. */
struct lb_serial {
    uint32_t state; /* 0 free, 1 taken, 2 taken and somebody waits; a futex */
    uint32_t depth;
    uintptr_t owner; /* the address of a variable of the owning thread */
};

bool lb_serial_try(struct lb_serial *serial);
/* True: it is ours.  False after `nanoseconds`, or when a signal came: try again. */
bool lb_serial_wait(struct lb_serial *serial, int64_t nanoseconds);
void lb_serial_unlock(struct lb_serial *serial);

#endif
