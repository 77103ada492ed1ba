/* `_core.Token`: the Python face of token.c.  `contracts/deadline.py` makes a Deadline of it. */
#include "module.h"

#include "token.h"

#include <stddef.h>

typedef struct {
    PyObject_HEAD
    struct lb_token token;
    PyObject *parent; /* a Token, or NULL */
} Token;

static PyTypeObject *token_type; /* owned; the module is loaded once in a process */

static PyObject *new_token(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"deadline", "parent", NULL};
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    long long deadline = INT64_MAX;
    PyObject *parent = Py_None;
    Token *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|LO:Token", names, &deadline, &parent))
        return NULL;
    if (parent != Py_None && !PyObject_TypeCheck(parent, token_type)) {
        PyErr_SetString(PyExc_TypeError, "the parent must be a Token or None");
        return NULL;
    }
    if (!(self = (Token *)allocate(type, 0)))
        return NULL;
    self->token.deadline = deadline;
    if (parent != Py_None) {
        self->parent = Py_NewRef(parent);
        self->token.parent = &((Token *)parent)->token;
    }
    return (PyObject *)self;
}

static void free_token(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject *parent = ((Token *)self)->parent;

    release(self);
    Py_XDECREF(parent);
    Py_DECREF(type); /* instances of heap types own a reference to their type */
}

/* The object around a token; a thread's token owns a reference to it. */
static PyObject *around(const struct lb_token *token)
{
    return token ? (PyObject *)((char *)(uintptr_t)token - offsetof(Token, token)) : NULL;
}

static PyObject *exchange(PyObject *type, PyObject *next)
{
    const struct lb_token *token = NULL;
    PyObject *before;

    (void)type;
    if (next != Py_None) {
        if (!PyObject_TypeCheck(next, token_type)) {
            PyErr_SetString(PyExc_TypeError, "expected a Token or None");
            return NULL;
        }
        token = &((Token *)Py_NewRef(next))->token;
    }
    before = around(lb_token_exchange(token)); /* whose reference goes to the caller */
    return before ? before : Py_NewRef(Py_None);
}

static PyObject *current(PyObject *type, PyObject *none)
{
    PyObject *found = around(lb_token_current());

    (void)type, (void)none;
    return Py_NewRef(found ? found : Py_None);
}

static PyObject *cancel(PyObject *self, PyObject *none)
{
    (void)none;
    lb_token_cancel(&((Token *)self)->token);
    Py_RETURN_NONE;
}

static PyObject *get_cancelled(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(lb_token_cancelled(&((Token *)self)->token));
}

static PyObject *get_over(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(lb_token_over(&((Token *)self)->token));
}

static PyObject *get_deadline(PyObject *self, void *closure)
{
    int64_t deadline = lb_token_deadline(&((Token *)self)->token);

    (void)closure;
    if (deadline == INT64_MAX)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(deadline);
}

static PyMethodDef methods[] = {
    {"exchange", exchange, METH_O | METH_STATIC,
     "exchange(token | None) -> token | None: make it the calling thread's; the one before."},
    {"current", current, METH_NOARGS | METH_STATIC, "The calling thread's token, or None."},
    {"cancel", cancel, METH_NOARGS, "Tell the calls under it, in whatever thread, that nobody waits for them."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"cancelled", get_cancelled, NULL, "Whether it or one above it was cancelled.", NULL},
    {"over", get_over, NULL, "Whether it or one above it was cancelled or has passed its deadline.", NULL},
    {"deadline", get_deadline, NULL, "The earliest deadline, nanoseconds of CLOCK_MONOTONIC, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Token(deadline=none, parent=None): whether a call's answer is still wanted. Nanoseconds of CLOCK_MONOTONIC."},
    {Py_tp_new, new_token},
    {Py_tp_dealloc, free_token},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Token",
    .basicsize = sizeof(Token),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lb_add_token(PyObject *module)
{
    if (!token_type && !(token_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL)))
        return -1;
    return PyModule_AddType(module, token_type);
}
