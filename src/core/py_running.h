/* The calls that a thread has under way, as its callbacks see them: who gets an exception, and whose errno it is. */
#ifndef LATEBIND_PY_RUNNING_H
#define LATEBIND_PY_RUNNING_H

#include "module.h"

#include <stdbool.h>

struct lb_running { /* on the stack of the call */
    struct lb_running *outer;
    PyObject *type, *value, *trace; /* of the first exception in a callback; raised when the call returns */
    const void *failed;             /* the callback that raised it: not entered again during this call */
    bool holds_lock;                /* the interpreter lock was kept for the call */
};

struct lb_thread {
    struct lb_running *running; /* the innermost call; NULL: none */
    int saved_errno;            /* what the last call left, and the next one finds */
};

/* Of the calling thread. */
struct lb_thread *lb_this_thread(void);

#endif
