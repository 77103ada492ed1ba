/* `_core.Context`: the Python face of context.c.
 *
 * `copy` is the one way by which the host reads what a plugin points at.  Memory of the arena is checked against
 * what lb_alloc handed out; any other memory is read through the kernel, which answers EFAULT where a plain copy
 * would end the process. */
#define _GNU_SOURCE
#include "module.h"

#include "context.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    lb_context *context;
} Context;

static PyObject *new_context(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {NULL};
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Context *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, ":Context", names))
        return NULL;
    if (!(self = (Context *)allocate(type, 0)))
        return NULL;
    if (!(self->context = lb_context_new())) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void free_context(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    lb_context_free(((Context *)self)->context);
    release(self);
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

/* Copy memory of this process that may not be there.  Returns 0, or -1 with errno. */
static int copy_through_kernel(void *target, const void *source, size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct iovec here = {(char *)target + done, size - done};
        struct iovec there = {(char *)(uintptr_t)source + done, size - done};
        ssize_t count = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
        if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
            /* A container that forbids the call: inline isolation is no boundary anyway, so go without the check. */
            memcpy((char *)target + done, (const char *)source + done, size - done);
            return 0;
        }
        if (count <= 0) {
            errno = count ? errno : EFAULT;
            return -1;
        }
        done += (size_t)count;
    }
    return 0;
}

static PyObject *copy(PyObject *self, PyObject *args)
{
    lb_context *ctx = ((Context *)self)->context;
    unsigned long long address;
    Py_ssize_t size;
    enum lb_ownership ownership;
    PyObject *bytes;

    if (!PyArg_ParseTuple(args, "Kn:copy", &address, &size))
        return NULL;
    if (size < 0)
        return PyErr_Format(PyExc_ValueError, "%zd bytes cannot be copied", size);
    if (!size)
        return PyBytes_FromStringAndSize(NULL, 0);
    ownership = lb_context_owns(ctx, (void *)(uintptr_t)address, (size_t)size);
    if (ownership == LB_BEYOND)
        return PyErr_Format(PyExc_ValueError, "%zd bytes at %p reach beyond what lb_alloc handed out", size,
                            (void *)(uintptr_t)address);
    if (!(bytes = PyBytes_FromStringAndSize(NULL, size)))
        return NULL;
    if (ownership == LB_INSIDE) {
        memcpy(PyBytes_AsString(bytes), (void *)(uintptr_t)address, (size_t)size);
    } else if (copy_through_kernel(PyBytes_AsString(bytes), (void *)(uintptr_t)address, (size_t)size) < 0) {
        Py_DECREF(bytes);
        return PyErr_Format(PyExc_ValueError, "%zd bytes at %p are not readable memory", size,
                            (void *)(uintptr_t)address);
    }
    return bytes;
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

static PyObject *get_failed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(lb_context_failed(((Context *)self)->context));
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
    {"failed", get_failed, NULL, "Whether the plugin called lb_fail since the last reset.", NULL},
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
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result;

    if (!type)
        return -1;
    result = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return result;
}
