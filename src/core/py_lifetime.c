/* See py_lifetime.h.  A library that is closed while calls into it are under way, from other threads or because a callback
 * closes it, must stay mapped until they have returned. */
#include "py_lifetime.h"

static PyTypeObject *lifetime_type; /* owned; the module is loaded once in a process */

bool lb_is_lifetime(PyObject *value)
{
    return Py_IS_TYPE(value, lifetime_type);
}

int lb_lifetime_refuse(lb_lifetime *lifetime)
{
    PyObject *error = PyObject_CallFunctionObjArgs(lifetime->error, lifetime->name, NULL);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return -1;
}

void lb_lifetime_last(lb_lifetime *lifetime)
{
    PyObject *type, *value, *trace, *then = lifetime->then;
    if (then == NULL)
        return;
    lifetime->then = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *result = PyObject_CallNoArgs(then);
    if (result == NULL)
        PyErr_WriteUnraisable(then);
    Py_XDECREF(result);
    Py_DECREF(then);
    PyErr_Restore(type, value, trace);
}

static PyObject *lifetime_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *error, *name;
    static char *names[] = {"error", "name", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Lifetime", names, &error, &name))
        return NULL;
    lb_lifetime *self = (lb_lifetime *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->error = Py_NewRef(error);
    self->name = Py_NewRef(name);
    return (PyObject *)self;
}

static PyObject *lifetime_end(PyObject *object, PyObject *then)
{
    lb_lifetime *self = (lb_lifetime *)object;
    __atomic_store_n(&self->is_over, true, __ATOMIC_SEQ_CST);
    if (self->running == 0)
        Py_RETURN_TRUE;
    if (self->then == NULL)
        self->then = Py_NewRef(then);
    Py_RETURN_FALSE;
}

static PyObject *lifetime_is_over(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((lb_lifetime *)object)->is_over);
}

static PyObject *lifetime_running(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(((lb_lifetime *)object)->running);
}

static int lifetime_traverse(PyObject *object, visitproc visit, void *arg)
{
    lb_lifetime *self = (lb_lifetime *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->error);
    Py_VISIT(self->name);
    Py_VISIT(self->then);
    return 0;
}

static int lifetime_clear(PyObject *object)
{
    lb_lifetime *self = (lb_lifetime *)object;
    Py_CLEAR(self->error);
    Py_CLEAR(self->name);
    Py_CLEAR(self->then);
    return 0;
}

static void lifetime_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    lifetime_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"end", lifetime_end, METH_O,
     "end(then) -> bool\n\n"
     "From now on calls are refused.  True: none is under way.  False: then() is called when the last one is over, and\n"
     "what it raises is reported as unraisable."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"is_over", lifetime_is_over, NULL, "Whether `end` was called.", NULL},
    {"running", lifetime_running, NULL, "How many calls are under way.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(lifetime_doc, "Lifetime(error, name)\n--\n\n"
                           "How long a library's functions may be called.  After the end a call raises error(name).");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)lifetime_new},
    {Py_tp_dealloc, (void *)lifetime_free},
    {Py_tp_traverse, (void *)lifetime_traverse},
    {Py_tp_clear, (void *)lifetime_clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)lifetime_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Lifetime",
    .basicsize = sizeof(lb_lifetime),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int lb_add_lifetime(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    lifetime_type = (PyTypeObject *)type;
    return type == NULL ? -1 : PyModule_AddType(module, lifetime_type);
}
