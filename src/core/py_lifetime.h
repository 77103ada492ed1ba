/* `_core.Lifetime`: how long code may be called, and what waits for the last call under way. */
#ifndef LATEBIND_PY_LIFETIME_H
#define LATEBIND_PY_LIFETIME_H

#include "module.h"

#include <stdbool.h>

typedef struct {
    PyObject_HEAD
    PyObject *error, *name; /* error(name) is raised by a call after the end */
    PyObject *then;         /* what to do when the last call under way is over; NULL: nothing */
    Py_ssize_t running;     /* calls under way */
    bool is_over;
} lb_lifetime;

bool lb_is_lifetime(PyObject *value);

/* A call begins: 0, or -1 with the error raised.  With the interpreter lock held, as all here. */
static inline int lb_lifetime_enter(lb_lifetime *lifetime);
/* And ends; a pending exception stays. */
static inline void lb_lifetime_leave(lb_lifetime *lifetime);

int lb_lifetime_refuse(lb_lifetime *lifetime);
void lb_lifetime_last(lb_lifetime *lifetime);

static inline int lb_lifetime_enter(lb_lifetime *lifetime)
{
    if (__atomic_load_n(&lifetime->is_over, __ATOMIC_RELAXED))
        return lb_lifetime_refuse(lifetime);
#ifdef Py_GIL_DISABLED
    __atomic_add_fetch(&lifetime->running, 1, __ATOMIC_ACQ_REL);
#else
    lifetime->running++;
#endif
    return 0;
}

static inline void lb_lifetime_leave(lb_lifetime *lifetime)
{
#ifdef Py_GIL_DISABLED
    Py_ssize_t left = __atomic_sub_fetch(&lifetime->running, 1, __ATOMIC_ACQ_REL);
#else
    Py_ssize_t left = --lifetime->running;
#endif
    if (left == 0 && lifetime->is_over)
        lb_lifetime_last(lifetime);
}

#endif
