/* `_core.Stubs`: stubs (stubs.h) for Python, and the way from an observed call to a Python function. */
#define _GNU_SOURCE
#include "stubs.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "module.h"

typedef struct {
    PyObject_HEAD
    struct lb_stubs *stubs; /* on the heap, because generated code refers to it; NULL once closed */
    PyObject *observer;
} Stubs;

PyDoc_STRVAR(stubs_doc,
    "Stubs(count, observer=None)\n--\n\n"
    "`count` stubs of generated code.  Each leads nowhere (a message and abort()) until `point` or `observe` says where.\n"
    "They stay mapped until close(), even when nobody holds this object: native code may hold their addresses.\n\n"
    "observer(number, time_ns, thread, caller, frame, stack) is called for each call of an observed stub, before its\n"
    "target is: the stub's number, CLOCK_MONOTONIC, the kernel's thread id, the return address, the argument registers\n"
    "(STUB_INTEGERS integers of 8 bytes, then the vectors, each 16 bytes) and the stack words asked for.  What it raises is reported as\n"
    "unraisable.  Calls made while the observer runs, in the same thread, are not observed.\n"
    "Raises ExecuteError where the system refuses the memory.");

static __thread bool is_observing;

/* With the interpreter lock held. */
static void call_observer(PyObject *observer, const struct lb_stub *stub, const struct lb_stub_frame *frame,
                          const uint64_t *stack)
{
    struct timespec now;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback); /* the call may come from a C function that is about to fail */
    clock_gettime(CLOCK_MONOTONIC, &now);
    PyObject *result = PyObject_CallFunction(
        observer, "ILlKy#y#", (unsigned)stub->number, (long long)now.tv_sec * 1000000000 + now.tv_nsec, (long)gettid(),
        (unsigned long long)frame->caller, (const char *)frame, (Py_ssize_t)offsetof(struct lb_stub_frame, caller),
        (const char *)stack, (Py_ssize_t)stub->stack_words * 8);
    if (result == NULL)
        PyErr_WriteUnraisable(observer);
    Py_XDECREF(result);
    PyErr_Restore(type, value, traceback);
}

static void report(const struct lb_stub *stub, const struct lb_stub_frame *frame, const uint64_t *stack)
{
    if (is_observing || !Py_IsInitialized())
        return;
    is_observing = true;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *observer = stub->owner->context;
    if (observer != NULL) {
        Py_INCREF(observer);
        call_observer(observer, stub, frame, stack);
        Py_DECREF(observer);
    }
    PyGILState_Release(state);
    is_observing = false;
}

static PyObject *stubs_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    unsigned int count;
    PyObject *observer = Py_None;
    struct lb_error error;
    static char *names[] = {"count", "observer", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|O:Stubs", names, &count, &observer))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Stubs *self = (Stubs *)alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct lb_stubs *made = malloc(sizeof *made);
    if (made == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (lb_stubs_make(made, count, report, observer == Py_None ? NULL : observer, &error) < 0) {
        free(made);
        Py_DECREF(self);
        return lb_raise(PyType_GetModule(type), &error);
    }
    self->stubs = made;
    if (observer != Py_None)
        self->observer = Py_NewRef(observer);
    return (PyObject *)self;
}

static int stubs_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Stubs *)object)->observer);
    return 0;
}

static int stubs_clear(PyObject *object)
{
    Stubs *self = (Stubs *)object;
    if (self->stubs != NULL)
        self->stubs->context = NULL;
    Py_CLEAR(self->observer);
    return 0;
}

static void stubs_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    stubs_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* The open stubs with `index` among them, or NULL and an exception. */
static struct lb_stubs *check(PyObject *object, unsigned int index)
{
    struct lb_stubs *stubs = ((Stubs *)object)->stubs;
    if (stubs == NULL)
        PyErr_SetString(PyExc_ValueError, "the stubs are closed");
    else if (index >= stubs->count)
        PyErr_Format(PyExc_IndexError, "stub %u of %u", index, (unsigned)stubs->count);
    else
        return stubs;
    return NULL;
}

static PyObject *stubs_address(PyObject *object, PyObject *args)
{
    unsigned int index;
    if (!PyArg_ParseTuple(args, "I:address", &index))
        return NULL;
    const struct lb_stubs *stubs = check(object, index);
    return stubs == NULL ? NULL : PyLong_FromUnsignedLongLong(lb_stub_address(stubs, index));
}

static PyObject *stubs_point(PyObject *object, PyObject *args)
{
    unsigned int index;
    unsigned long long target;
    if (!PyArg_ParseTuple(args, "IO&:point", &index, lb_as_uint64, &target))
        return NULL;
    struct lb_stubs *stubs = check(object, index);
    if (stubs == NULL)
        return NULL;
    lb_stub_point(stubs, index, target);
    Py_RETURN_NONE;
}

static PyObject *stubs_observe(PyObject *object, PyObject *args)
{
    unsigned int index, words = 0;
    unsigned long long target;
    if (!PyArg_ParseTuple(args, "IO&|I:observe", &index, lb_as_uint64, &target, &words))
        return NULL;
    struct lb_stubs *stubs = check(object, index);
    if (stubs == NULL)
        return NULL;
    if (words > 256)
        return PyErr_Format(PyExc_ValueError, "%u words of arguments on the stack", words);
    lb_stub_observed(stubs, index, target, words);
    Py_RETURN_NONE;
}

static PyObject *stubs_close(PyObject *object, PyObject *unused)
{
    Stubs *self = (Stubs *)object;
    struct lb_stubs *stubs = self->stubs;
    (void)unused;
    self->stubs = NULL;
    if (stubs != NULL) {
        lb_stubs_free(stubs);
        free(stubs);
    }
    Py_CLEAR(self->observer);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"address", stubs_address, METH_VARARGS, "address(index) -> int\n\nWhere stub `index` is called."},
    {"point", stubs_point, METH_VARARGS, "point(index, target) -> None\n\nLet stub `index` lead to the code at `target`; 0 means nowhere."},
    {"observe", stubs_observe, METH_VARARGS,
     "observe(index, target, stack_words=0) -> None\n\n"
     "The same, and report each call to the observer first, with that many words of stack arguments."},
    {"close", stubs_close, METH_NOARGS, "close() -> None\n\nUnmap the stubs.  Nothing may call them any more.  Idempotent."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)stubs_new},
    {Py_tp_dealloc, (void *)stubs_free},
    {Py_tp_traverse, (void *)stubs_traverse},
    {Py_tp_clear, (void *)stubs_clear},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)stubs_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Stubs",
    .basicsize = sizeof(Stubs),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static PyObject *unraisable(PyObject *module, PyObject *args)
{
    PyObject *exception, *where;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:unraisable", &exception, &where))
        return NULL;
    if (!PyExceptionInstance_Check(exception))
        return PyErr_Format(PyExc_TypeError, "not an exception");
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    PyErr_WriteUnraisable(where);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"unraisable", unraisable, METH_VARARGS,
     "unraisable(exception, where) -> None\n\nReport an exception that cannot be raised, through sys.unraisablehook."},
    {NULL, NULL, 0, NULL},
};

int lb_add_stubs(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    if (result < 0 || PyModule_AddIntConstant(module, "STUB_INTEGERS", LB_STUB_INTEGERS) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
