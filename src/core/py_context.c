/* `_core.Context`: the Python face of context.c.
 *
 * It is the context of a pool's call, or one of its own.  `copy` is how Python reads what a plugin points at. */
#define _GNU_SOURCE
#include "module.h"

#include "py_gate.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    lb_context *context;
    struct lb_call *call; /* the pool's, or our own where there is no pool */
    PyObject *pool;       /* NULL: the context is ours */
} Context;

static PyTypeObject *context_type; /* owned; the module is loaded once in a process */

static PyObject *new_context(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {NULL};
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Context *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, ":Context", names))
        return NULL;
    if (!(self = (Context *)allocate(type, 0)))
        return NULL;
    if (!(self->call = PyMem_Calloc(1, sizeof *self->call)) || !(self->context = lb_context_new())) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->call->context = self->context;
    self->call->running = true;
    return (PyObject *)self;
}

PyObject *lb_context_for(PyObject *pool, struct lb_call *call)
{
    Context *self = (Context *)((allocfunc)PyType_GetSlot(context_type, Py_tp_alloc))(context_type, 0);

    if (!self)
        return NULL;
    self->context = call->context;
    self->call = call;
    self->pool = Py_NewRef(pool);
    return (PyObject *)self;
}

struct lb_call *lb_context_call(PyObject *context, const struct lb_pool *pool)
{
    if (!Py_IS_TYPE(context, context_type)) {
        PyErr_SetString(PyExc_TypeError, "not a Context");
        return NULL;
    }
    if (pool && (!((Context *)context)->pool || &((lb_pool_object *)((Context *)context)->pool)->pool != pool)) {
        PyErr_SetString(PyExc_ValueError, "the Context of another pool");
        return NULL;
    }
    return ((Context *)context)->call;
}

static void free_context(PyObject *object)
{
    Context *self = (Context *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    if (!self->pool) {
        lb_context_free(self->context);
        if (self->call)
            Py_XDECREF((PyObject *)self->call->cause);
        PyMem_Free(self->call);
    }
    Py_XDECREF(self->pool);
    release(object);
    Py_DECREF(type); /* instances of heap types own a reference to their type */
}

static PyObject *reset(PyObject *self, PyObject *none)
{
    (void)none;
    lb_context_reset(((Context *)self)->context);
    Py_RETURN_NONE;
}

static PyObject *alloc(PyObject *self, PyObject *argument)
{
    lb_context *ctx = ((Context *)self)->context;
    size_t size = PyLong_AsSize_t(argument);
    void *result;

    if (size == (size_t)-1 && PyErr_Occurred())
        return NULL;
    if (!(result = lb_alloc(ctx, size)))
        return PyErr_NoMemory();
    return PyLong_FromVoidPtr(result);
}

static PyObject *note(PyObject *self, PyObject *argument)
{
    PyObject *bytes = PyUnicode_AsEncodedString(argument, "utf-8", "backslashreplace");

    if (!bytes)
        return NULL;
    lb_context_note(((Context *)self)->context, PyBytes_AsString(bytes));
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

static PyObject *copy(PyObject *self, PyObject *args)
{
    lb_context *ctx = ((Context *)self)->context;
    unsigned long long address;
    Py_ssize_t size;
    PyObject *bytes;

    if (!PyArg_ParseTuple(args, "Kn:copy", &address, &size))
        return NULL;
    if (size < 0)
        return PyErr_Format(PyExc_ValueError, "%zd bytes cannot be copied", size);
    if (!size)
        return PyBytes_FromStringAndSize(NULL, 0);
    if (lb_context_owns(ctx, (void *)(uintptr_t)address, (size_t)size) == LB_BEYOND)
        return PyErr_Format(PyExc_ValueError, "%zd bytes at %p reach beyond what lb_alloc handed out", size,
                            (void *)(uintptr_t)address);
    if (!(bytes = PyBytes_FromStringAndSize(NULL, size)))
        return NULL;
    if (lb_context_copy(ctx, PyBytes_AsString(bytes), (void *)(uintptr_t)address, (size_t)size) == LB_INSIDE)
        return bytes;
    Py_DECREF(bytes);
    return PyErr_Format(PyExc_ValueError, "%zd bytes at %p are not readable memory", size, (void *)(uintptr_t)address);
}

static PyObject *get_address(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(((Context *)self)->context);
}

static PyObject *get_state(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(((Context *)self)->context->state);
}

static int set_state(PyObject *self, PyObject *value, void *closure)
{
    void *state;

    (void)closure;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "the state cannot be deleted");
        return -1;
    }
    state = PyLong_AsVoidPtr(value);
    if (!state && PyErr_Occurred())
        return -1;
    ((Context *)self)->context->state = state;
    return 0;
}

static PyObject *get_message(PyObject *self, void *closure)
{
    const char *message = lb_context_message(((Context *)self)->context);

    (void)closure;
    if (!message)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
}

static PyObject *get_cause(PyObject *self, void *closure)
{
    PyObject *cause = ((Context *)self)->call->cause;

    (void)closure;
    return Py_NewRef(cause ? cause : Py_None);
}

static int set_cause(PyObject *self, PyObject *value, void *closure)
{
    struct lb_call *call = ((Context *)self)->call;
    PyObject *before = call->cause;

    (void)closure;
    if (!call->running) { /* nobody would take it away again */
        PyErr_SetString(PyExc_ValueError, "the call has ended");
        return -1;
    }
    call->cause = !value || value == Py_None ? NULL : Py_NewRef(value);
    Py_XDECREF(before);
    return 0;
}

static PyObject *get_running(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((Context *)self)->call->running);
}

static PyObject *get_failed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(lb_context_failed(((Context *)self)->context));
}

static PyObject *get_cut_short(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(lb_context_cut_short(((Context *)self)->context));
}

static PyMethodDef methods[] = {
    {"reset", reset, METH_NOARGS, "End everything that alloc handed out and forget the message; the state stays."},
    {"alloc", alloc, METH_O, "alloc(size) -> address of `size` bytes that live until the reset; MemoryError."},
    {"note", note, METH_O, "note(message): leave a message that the plugin may pass on, without failing the call."},
    {"copy", copy, METH_VARARGS, "copy(address, size) -> bytes; ValueError where that memory is not there."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"address", get_address, NULL, "Address of the lb_context.", NULL},
    {"state", get_state, set_state, "The plugin's state pointer.", NULL},
    {"message", get_message, NULL, "What lb_fail or note said since the last reset, or None.", NULL},
    {"cause", get_cause, set_cause, "The exception of a service that failed within the call, or None.", NULL},
    {"running", get_running, NULL, "Whether the call is under way.", NULL},
    {"failed", get_failed, NULL, "Whether the plugin called lb_fail since the last reset.", NULL},
    {"cut_short", get_cut_short, NULL, "Whether lb_cancelled answered true since the last reset.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Context(): an lb_context for one call of a plugin at a time."},
    {Py_tp_new, new_context},
    {Py_tp_dealloc, free_context},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Context",
    .basicsize = sizeof(Context),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lb_add_context(PyObject *module)
{
    context_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return context_type == NULL ? -1 : PyModule_AddType(module, context_type);
}
