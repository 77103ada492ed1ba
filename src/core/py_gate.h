/* `_core.Gate`, `_core.Meter` and `_core.CallPool` for the other files of the core that make or take calls of plugins. */
#ifndef LATEBIND_PY_GATE_H
#define LATEBIND_PY_GATE_H

#include "module.h"

#include "gate.h"
#include "meter.h"
#include "pool.h"

#define LB_SLICE 100000000 /* nanoseconds: how long a wait goes without looking for signals */

typedef struct {
    PyObject_HEAD
    struct lb_gate gate;
    PyObject *serving; /* the generation that calls go to; NULL: none */
} lb_gate_object;

typedef struct {
    PyObject_HEAD
    struct lb_meter meter;
} lb_meter_object;

typedef struct {
    PyObject_HEAD
    struct lb_pool pool;
} lb_pool_object;

/* For "O&" of PyArg_ParseTuple: a borrowed reference. */
int lb_as_gate(PyObject *value, void *result);
int lb_as_meter(PyObject *value, void *result);
int lb_as_pool_or_none(PyObject *value, void *result); /* NULL for None */

/* Through the gate, or the lock of a plugin that takes one call at a time; other Python threads run while it waits.
 * -1 with the exception of a signal handler. */
int lb_pass(struct lb_gate *gate, struct lb_inside *mark);
int lb_lock(struct lb_serial *serial);

/* End a call with the interpreter lock held, and let go of its cause. */
void lb_end_call(struct lb_pool *pool, struct lb_call *call);

/* py_context.c: a `Context` for a call of a pool, which it keeps. */
PyObject *lb_context_for(PyObject *pool, struct lb_call *call);
/* The call behind a Context of this pool (of any where NULL); NULL with TypeError for anything else. */
struct lb_call *lb_context_call(PyObject *context, const struct lb_pool *pool);

#endif
