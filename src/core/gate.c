/* See gate.h.  A call writes that it is inside and then looks whether the gate is held; who holds it writes that it is
 * held and then looks who is inside.  Both in sequentially consistent order, so that one of the two sees the other. */
#define _GNU_SOURCE
#include "gate.h"

#include <stddef.h>

#include "futex.h"

static __thread struct lb_inside *innermost; /* the gates that this thread is inside, each once */

struct lb_inside *lb_gate_inside(const struct lb_gate *gate)
{
    struct lb_inside *mark = innermost;
    while (mark != NULL && mark->gate != gate)
        mark = mark->outer;
    return mark;
}

static void go_out(struct lb_gate *gate)
{
    if (__atomic_sub_fetch(&gate->inside, 1, __ATOMIC_SEQ_CST) == 0 && __atomic_load_n(&gate->held, __ATOMIC_SEQ_CST))
        lb_futex_wake(&gate->inside, 1);
}

bool lb_gate_enter(struct lb_gate *gate, struct lb_inside *mark)
{
    __atomic_add_fetch(&gate->inside, 1, __ATOMIC_SEQ_CST);
    if (__builtin_expect(__atomic_load_n(&gate->held, __ATOMIC_SEQ_CST), 0)) {
        go_out(gate);
        return false;
    }
    *mark = (struct lb_inside){innermost, gate, 0, false};
    innermost = mark;
    return true;
}

void lb_gate_leave(struct lb_inside *mark)
{
    struct lb_gate *gate = mark->gate;
    struct lb_inside **link = &innermost; /* nearly always the innermost */
    while (*link != mark)
        link = &(*link)->outer;
    *link = mark->outer;
    go_out(gate);
}

void lb_gate_wait(struct lb_gate *gate, int64_t nanoseconds)
{
    lb_futex_wait(&gate->held, 1, nanoseconds);
}

void lb_gate_hold(struct lb_gate *gate)
{
    __atomic_store_n(&gate->held, 1, __ATOMIC_SEQ_CST);
}

void lb_gate_open(struct lb_gate *gate)
{
    __atomic_store_n(&gate->held, 0, __ATOMIC_SEQ_CST);
    lb_futex_wake(&gate->held, INT_MAX);
}

bool lb_gate_is_empty(const struct lb_gate *gate)
{
    return __atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST) == 0;
}

void lb_gate_drain(struct lb_gate *gate, int64_t nanoseconds)
{
    uint32_t seen = __atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST);
    if (seen != 0)
        lb_futex_wait(&gate->inside, seen, nanoseconds);
}

static uintptr_t me(void)
{
    return (uintptr_t)&innermost;
}

static void take(struct lb_serial *serial)
{
    __atomic_store_n(&serial->owner, me(), __ATOMIC_RELAXED); /* only its own thread can read its own name there */
    serial->depth = 1;
}

bool lb_serial_try(struct lb_serial *serial)
{
    uint32_t free = 0;
    if (__atomic_compare_exchange_n(&serial->state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        take(serial);
        return true;
    }
    if (__atomic_load_n(&serial->owner, __ATOMIC_RELAXED) != me())
        return false;
    serial->depth++;
    return true;
}

bool lb_serial_wait(struct lb_serial *serial, int64_t nanoseconds)
{
    /* From here on it counts as waited for: who gets it this way wakes the next one, who may not be there. */
    if (__atomic_exchange_n(&serial->state, 2, __ATOMIC_ACQUIRE) != 0) {
        lb_futex_wait(&serial->state, 2, nanoseconds);
        if (__atomic_exchange_n(&serial->state, 2, __ATOMIC_ACQUIRE) != 0)
            return false;
    }
    take(serial);
    return true;
}

void lb_serial_unlock(struct lb_serial *serial)
{
    if (--serial->depth != 0)
        return;
    __atomic_store_n(&serial->owner, 0, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&serial->state, 0, __ATOMIC_RELEASE) == 2)
        lb_futex_wake(&serial->state, 1);
}
