/* `_core.Gate` and `_core.Meter`: gate.h and meter.h for Python. */
#define _GNU_SOURCE
#include "module.h"

#include <math.h>
#include <stdlib.h>
#include <structmember.h>

#include "py_gate.h"

static PyTypeObject *gate_type, *meter_type; /* owned; the module is loaded once in a process */

int lb_pass(struct lb_gate *gate, struct lb_inside *mark)
{
    while (__builtin_expect(!lb_gate_enter(gate, mark), 0)) {
        Py_BEGIN_ALLOW_THREADS
        lb_gate_wait(gate, LB_SLICE);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
    return 0;
}

int lb_lock(struct lb_serial *serial)
{
    bool taken = lb_serial_try(serial);
    while (__builtin_expect(!taken, 0)) {
        Py_BEGIN_ALLOW_THREADS
        taken = lb_serial_wait(serial, LB_SLICE);
        Py_END_ALLOW_THREADS
        if (!taken && PyErr_CheckSignals() < 0)
            return -1;
    }
    return 0;
}

static int as(PyObject *value, PyTypeObject *type, const char *name, void *result)
{
    if (!PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "not a %s", name);
        return 0;
    }
    *(PyObject **)result = value;
    return 1;
}

int lb_as_gate(PyObject *value, void *result)
{
    return as(value, gate_type, "Gate", result);
}

int lb_as_meter(PyObject *value, void *result)
{
    return as(value, meter_type, "Meter", result);
}

/* the gate ------------------------------------------------------------------------------------------------------------ */

static struct lb_gate *gate_of(PyObject *self)
{
    return &((lb_gate_object *)self)->gate;
}

static PyObject *gate_enter(PyObject *self, PyObject *none)
{
    struct lb_inside *mark = lb_gate_inside(gate_of(self));
    (void)none;
    if (mark == NULL) {
        if ((mark = malloc(sizeof *mark)) == NULL)
            return PyErr_NoMemory();
        if (lb_pass(gate_of(self), mark) < 0) {
            free(mark);
            return NULL;
        }
        mark->is_made_by_hand = true;
    }
    mark->by_hand++;
    Py_RETURN_NONE;
}

static PyObject *gate_leave(PyObject *self, PyObject *none)
{
    struct lb_inside *mark = lb_gate_inside(gate_of(self));
    (void)none;
    if (mark == NULL || mark->by_hand == 0)
        return PyErr_Format(PyExc_RuntimeError, "this thread did not enter the gate");
    if (--mark->by_hand == 0 && mark->is_made_by_hand) {
        lb_gate_leave(mark);
        free(mark);
    }
    Py_RETURN_NONE;
}

/* Waits for those inside: 1, 0 after `limit` on the meter's clock, or -1 with an exception. */
static int drain(struct lb_gate *gate, uint64_t limit)
{
    while (!lb_gate_is_empty(gate)) {
        const uint64_t now = lb_meter_clock();
        if (now >= limit)
            return 0;
        const uint64_t left = limit - now;
        Py_BEGIN_ALLOW_THREADS
        lb_gate_drain(gate, left < LB_SLICE ? (int64_t)left : LB_SLICE);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
    return 1;
}

static PyObject *gate_close(PyObject *self, PyObject *timeout)
{
    struct lb_gate *gate = gate_of(self);
    const double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1 && PyErr_Occurred())
        return NULL;
    const double nanoseconds = fmax(seconds, 0) * 1e9;
    const uint64_t now = lb_meter_clock();
    lb_gate_hold(gate);
    const int result = drain(gate, nanoseconds < 9e18 ? now + (uint64_t)nanoseconds : UINT64_MAX);
    if (result != 1)
        lb_gate_open(gate);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

static PyObject *gate_open(PyObject *self, PyObject *none)
{
    (void)none;
    lb_gate_open(gate_of(self));
    Py_RETURN_NONE;
}

static PyObject *gate_entered(PyObject *self, void *none)
{
    (void)none;
    return PyBool_FromLong(lb_gate_inside(gate_of(self)) != NULL);
}

static PyObject *gate_inside(PyObject *self, void *none)
{
    (void)none;
    return PyLong_FromUnsignedLong(__atomic_load_n(&gate_of(self)->inside, __ATOMIC_SEQ_CST));
}

static int gate_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((lb_gate_object *)self)->serving);
    return 0;
}

static int gate_clear(PyObject *self)
{
    Py_CLEAR(((lb_gate_object *)self)->serving);
    return 0;
}

static void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void gate_free(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    gate_clear(self);
    free_object(self);
}

static PyMethodDef gate_methods[] = {
    {"enter", gate_enter, METH_NOARGS,
     "enter() -> None\n\nBegin a call; waits while the gate is held, unless this thread is inside already."},
    {"leave", gate_leave, METH_NOARGS, "leave() -> None\n\nEnd a call.  RuntimeError without an `enter`."},
    {"close", gate_close, METH_O,
     "close(timeout) -> bool\n\n"
     "Let no new call in and wait for those inside, up to `timeout` seconds.  True: it is held until `open`.  False:\n"
     "calls still run, and it is open."},
    {"open", gate_open, METH_NOARGS, "open() -> None\n\nLet calls in again."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef gate_members[] = {
    {"serving", T_OBJECT, offsetof(lb_gate_object, serving), 0, "The generation that calls go to, or None."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef gate_attributes[] = {
    {"inside", gate_inside, NULL, "How many threads are inside.", NULL},
    {"entered", gate_entered, NULL, "Whether this thread is inside.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot gate_slots[] = {
    {Py_tp_doc, "Gate(): counts the calls inside, and holds new ones while the code behind it is exchanged."},
    {Py_tp_dealloc, (void *)gate_free},
    {Py_tp_traverse, (void *)gate_traverse},
    {Py_tp_clear, (void *)gate_clear},
    {Py_tp_methods, gate_methods},
    {Py_tp_members, gate_members},
    {Py_tp_getset, gate_attributes},
    {0, NULL},
};

static PyType_Spec gate_spec = {
    .name = "latebind._core.Gate",
    .basicsize = sizeof(lb_gate_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = gate_slots,
};

/* the meter ----------------------------------------------------------------------------------------------------------- */

static PyObject *meter_read(PyObject *self, PyObject *none)
{
    const struct lb_meter *meter = &((lb_meter_object *)self)->meter;
    uint64_t calls = 0;
    PyObject *buckets = PyTuple_New(LB_METER_BUCKETS);
    (void)none;
    for (uint32_t i = 0; buckets != NULL && i < LB_METER_BUCKETS; i++) {
        const uint64_t count = __atomic_load_n(&meter->buckets[i], __ATOMIC_RELAXED);
        calls += count;
        PyTuple_SetItem(buckets, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(count));
    }
    return buckets == NULL ? NULL
                           : Py_BuildValue("KKKKN", calls, __atomic_load_n(&meter->errors, __ATOMIC_RELAXED),
                                           __atomic_load_n(&meter->running, __ATOMIC_RELAXED),
                                           __atomic_load_n(&meter->total, __ATOMIC_RELAXED), buckets);
}

static PyMethodDef meter_methods[] = {
    {"read", meter_read, METH_NOARGS,
     "read() -> (calls, errors, running, total_ns, buckets)\n\nThe calls that ended, and the other counts."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot meter_slots[] = {
    {Py_tp_doc, "Meter(): counts the calls of one method."},
    {Py_tp_dealloc, (void *)free_object},
    {Py_tp_methods, meter_methods},
    {0, NULL},
};

static PyType_Spec meter_spec = {
    .name = "latebind._core.Meter",
    .basicsize = sizeof(lb_meter_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = meter_slots,
};

int lb_add_gate(PyObject *module)
{
    gate_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &gate_spec, NULL);
    meter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &meter_spec, NULL);
    if (gate_type == NULL || meter_type == NULL || PyModule_AddType(module, gate_type) < 0 ||
        PyModule_AddType(module, meter_type) < 0)
        return -1;
    return PyModule_AddIntConstant(module, "METER_BUCKETS", LB_METER_BUCKETS);
}
