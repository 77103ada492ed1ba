/* `_core.CallPool`: pool.h for Python. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>

#include "py_gate.h"

static PyTypeObject *pool_type; /* owned; the module is loaded once in a process */

static struct lb_pool *pool_of(PyObject *self)
{
    return &((lb_pool_object *)self)->pool;
}

int lb_as_pool_or_none(PyObject *value, void *result)
{
    if (value != Py_None && !PyObject_TypeCheck(value, pool_type)) {
        PyErr_SetString(PyExc_TypeError, "not a CallPool");
        return 0;
    }
    *(PyObject **)result = value == Py_None ? NULL : value;
    return 1;
}

void lb_end_call(struct lb_pool *pool, struct lb_call *call)
{
    PyObject *cause = call->cause;
    call->cause = NULL;
    lb_pool_end(pool, call);
    Py_XDECREF(cause);
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"serial", NULL};
    int is_serial = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$p:CallPool", names, &is_serial))
        return NULL;
    PyObject *self = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL)
        pool_of(self)->is_serial = is_serial;
    return self;
}

static void pool_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (struct lb_call *call = pool_of(self)->known; call != NULL; call = call->next)
        Py_XDECREF((PyObject *)call->cause);
    lb_pool_free(pool_of(self));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *pool_begin(PyObject *self, PyObject *none)
{
    (void)none;
    struct lb_call *call = lb_pool_begin(pool_of(self));
    if (call == NULL)
        return PyErr_NoMemory();
    PyObject *context = lb_context_for(self, call);
    if (context == NULL)
        lb_pool_end(pool_of(self), call);
    return context;
}

static PyObject *pool_end(PyObject *self, PyObject *context)
{
    struct lb_call *call = lb_context_call(context, pool_of(self));
    if (call == NULL)
        return NULL;
    if (!call->running)
        return PyErr_Format(PyExc_ValueError, "the call has ended");
    lb_end_call(pool_of(self), call);
    Py_RETURN_NONE;
}

static PyObject *pool_find(PyObject *self, PyObject *address)
{
    unsigned long long number = 0;
    if (address != Py_None && !lb_as_uint64(address, &number))
        return NULL;
    struct lb_call *call = lb_pool_find(pool_of(self), number);
    if (call == NULL)
        Py_RETURN_NONE;
    return lb_context_for(self, call);
}

static PyObject *pool_lock(PyObject *self, PyObject *none)
{
    (void)none;
    if (pool_of(self)->is_serial && lb_lock(&pool_of(self)->serial) < 0)
        return NULL;
    return Py_NewRef(self);
}

static PyObject *pool_unlock(PyObject *self, PyObject *args)
{
    (void)args;
    if (pool_of(self)->is_serial)
        lb_serial_unlock(&pool_of(self)->serial);
    Py_RETURN_NONE;
}

static PyObject *get_state(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(pool_of(self)->state);
}

static int set_state(PyObject *self, PyObject *value, void *closure)
{
    (void)closure;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the state cannot be deleted");
        return -1;
    }
    void *state = PyLong_AsVoidPtr(value);
    if (state == NULL && PyErr_Occurred())
        return -1;
    pool_of(self)->state = state;
    return 0;
}

static PyObject *get_untidy(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong((long)__atomic_load_n(&pool_of(self)->untidy, __ATOMIC_ACQUIRE));
}

static int set_untidy(PyObject *self, PyObject *value, void *closure)
{
    const int is_untidy = value == NULL ? 0 : PyObject_IsTrue(value);
    (void)closure;
    if (is_untidy < 0)
        return -1;
    __atomic_store_n(&pool_of(self)->untidy, (uint32_t)is_untidy, __ATOMIC_RELEASE);
    return 0;
}

static PyObject *pool_add_image(PyObject *self, PyObject *args)
{
    struct lb_pool *pool = pool_of(self);
    unsigned long long start, size;
    if (!PyArg_ParseTuple(args, "O&O&:add_image", lb_as_uint64, &start, lb_as_uint64, &size))
        return NULL;
    if (start == 0 || size > UINT64_MAX - start)
        return PyErr_Format(PyExc_ValueError, "not an address and a size");
    if (pool->image_count < LB_POOL_IMAGE) { /* without it, reading there goes through the kernel */
        pool->image[pool->image_count].start = start;
        pool->image[pool->image_count].end = start + size;
        pool->image_count++;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"begin", pool_begin, METH_NOARGS, "begin() -> Context\n\nA call begins, with an empty context."},
    {"end", pool_end, METH_O, "end(context) -> None\n\nGive the context back; everything that it allocated ends."},
    {"find", pool_find, METH_O,
     "find(address) -> Context or None\n\nThe running call whose context lies at `address` (None: nowhere)."},
    {"add_image", pool_add_image, METH_VARARGS,
     "add_image(address, size) -> None\n\n"
     "The plugin's file is mapped there, and readable, while calls run: answers that lie there are read at once."},
    {"__enter__", pool_lock, METH_NOARGS, "Take the lock of a serial plugin; its owner may take it again."},
    {"__exit__", pool_unlock, METH_VARARGS, "Release it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"state", get_state, set_state, "The plugin's state pointer (a RuntimeAddress), which every call starts with.", NULL},
    {"untidy", get_untidy, set_untidy, "Whether something waits to be closed before the next call.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "CallPool(*, serial=False): the contexts of one loaded plugin, and its lock if it is `serial`."},
    {Py_tp_new, (void *)pool_new},
    {Py_tp_dealloc, (void *)pool_free},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.CallPool",
    .basicsize = sizeof(lb_pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int lb_add_pool(PyObject *module)
{
    pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return pool_type == NULL ? -1 : PyModule_AddType(module, pool_type);
}
