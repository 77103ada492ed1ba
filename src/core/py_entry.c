/* `_core.Entry`: a method of a proxy, which outlives every generation of the plugin behind it.
 *
 * A call goes through the plugin's gate, finds the function of the generation that serves at the moment, is counted,
 * and leaves: that is all of late binding on the caller's side.  The function of a native plugin is a `Method` and called
 * without a detour; anything else is called with a tuple of the arguments. */
#define _GNU_SOURCE
#include "module.h"

#include <pthread.h>
#include <structmember.h>

#include "py_function.h"
#include "py_gate.h"
#include "py_method.h"

typedef struct {
    PyObject_HEAD
    lb_vectorcall *call;
    PyObject *weak_references;
    lb_gate_object *gate;
    lb_meter_object *meter;
    PyObject *bind;    /* bind() -> (generation, invoke) of the generation that serves, or LifecycleError */
    PyObject *arrange; /* arrange(*args, **kwargs) -> one argument a parameter */
    PyObject *finish;  /* finish(generation, answer), within the gate; NULL: the answer is good as it is */
    PyObject *generation, *invoke; /* what was found last */
    Py_ssize_t count;  /* parameters; -1: every call must be arranged */
    PyObject *name, *qualified_name, *doc, *signature;
} Entry;

/* Of generation and invoke of all entries, while they are exchanged: without an interpreter lock two may find the new
 * generation at once.  Those of the old one are used by nobody then: its calls had to end first. */
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;

static int rebind(Entry *self)
{
    PyObject *fresh = PyObject_CallNoArgs(self->bind), *generation = NULL, *invoke = NULL;
    int result = 0;
    if (fresh == NULL || !PyArg_ParseTuple(fresh, "OO;bind() gives (generation, invoke)", &generation, &invoke))
        result = -1; /* nothing serves: let go of what did */
    Py_XINCREF(generation);
    Py_XINCREF(invoke);
    pthread_mutex_lock(&exchange_lock);
    if (self->generation != generation) {
        PyObject *old_generation = self->generation, *old_invoke = self->invoke;
        self->invoke = invoke;
        self->generation = generation;
        generation = old_generation;
        invoke = old_invoke;
    }
    pthread_mutex_unlock(&exchange_lock);
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace); /* what goes now may run Python */
    Py_XDECREF(generation);
    Py_XDECREF(invoke);
    Py_XDECREF(fresh);
    PyErr_Restore(type, value, trace);
    return result;
}

static PyObject *call_other(PyObject *invoke, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++)
        PyTuple_SetItem(tuple, i, Py_NewRef(arguments[i]));
    PyObject *result = tuple == NULL ? NULL : PyObject_CallFunctionObjArgs(invoke, tuple, NULL);
    Py_XDECREF(tuple);
    return result;
}

/* Inside the gate. */
static PyObject *call_inside(Entry *self, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *serving = self->gate->serving;
    if (__builtin_expect(serving == NULL || serving != self->generation, 0) && rebind(self) < 0)
        return NULL;
    PyObject *invoke = Py_NewRef(self->invoke), *generation = Py_NewRef(self->generation);
    const uint64_t begun = lb_meter_begin(&self->meter->meter);
    PyObject *result = lb_is_method(invoke) ? lb_method_call(invoke, arguments, count)
                                            : call_other(invoke, arguments, count);
    lb_meter_end(&self->meter->meter, begun, result == NULL);
    if (self->finish != NULL && result != NULL) {
        PyObject *answer = result;
        result = PyObject_CallFunctionObjArgs(self->finish, generation, answer, NULL);
        Py_DECREF(answer);
    }
    Py_DECREF(invoke);
    Py_DECREF(generation);
    return result;
}

static PyObject *pass(Entry *self, PyObject *const *arguments, Py_ssize_t count)
{
    struct lb_inside mark;
    struct lb_gate *gate = &self->gate->gate;
    if (lb_gate_inside(gate) != NULL) /* within a call of the same thread, which keeps the gate open */
        return call_inside(self, arguments, count);
    if (lb_pass(gate, &mark) < 0)
        return NULL;
    PyObject *result = call_inside(self, arguments, count);
    lb_gate_leave(&mark);
    return result;
}

static PyObject *call_arranged(Entry *self, PyObject *args, PyObject *keywords)
{
    PyObject *few[LB_FEW], *result = NULL;
    PyObject *arranged = PyObject_Call(self->arrange, args, keywords);
    PyObject **items = arranged == NULL ? NULL : lb_items(arranged, few);
    if (items != NULL) {
        result = pass(self, items, PyTuple_Size(arranged));
        lb_items_free(items, few);
    }
    Py_XDECREF(arranged);
    return result;
}

/* With keywords, defaults, or the wrong number of arguments. */
static PyObject *call_unusual(Entry *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    const Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *args = PyTuple_New(count), *keywords = PyDict_New(), *result = NULL;
    int status = args == NULL || keywords == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++)
        PyTuple_SetItem(args, i, Py_NewRef(arguments[i]));
    for (Py_ssize_t i = 0; status == 0 && i < named; i++)
        status = PyDict_SetItem(keywords, PyTuple_GetItem(names, i), arguments[count + i]);
    if (status == 0)
        result = call_arranged(self, args, keywords);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

static PyObject *entry_vectorcall(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names)
{
    Entry *self = (Entry *)callable;
    const Py_ssize_t count = (Py_ssize_t)(nargsf & ~LB_ARGUMENTS_OFFSET);
    if (__builtin_expect(count != self->count || (names != NULL && PyTuple_Size(names) != 0), 0))
        return call_unusual(self, arguments, count, names);
    return pass(self, arguments, count);
}

static PyObject *entry_call_tuple(PyObject *callable, PyObject *args, PyObject *keywords)
{
    return call_arranged((Entry *)callable, args, keywords);
}

static PyObject *entry_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *gate, *meter, *bind, *arrange, *finish, *name, *qualified_name, *doc, *signature;
    Py_ssize_t count;
    static char *names[] = {"gate", "meter", "bind", "arrange", "count", "finish", "name", "qualname", "doc", "signature", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O&O&OOnOOOOO:Entry", names, lb_as_gate, &gate, lb_as_meter, &meter,
                                     &bind, &arrange, &count, &finish, &name, &qualified_name, &doc, &signature))
        return NULL;
    Entry *self = (Entry *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->call = entry_vectorcall;
    self->gate = (lb_gate_object *)Py_NewRef(gate);
    self->meter = (lb_meter_object *)Py_NewRef(meter);
    self->bind = Py_NewRef(bind);
    self->arrange = Py_NewRef(arrange);
    self->finish = finish == Py_None ? NULL : Py_NewRef(finish);
    self->count = count;
    self->name = Py_NewRef(name);
    self->qualified_name = Py_NewRef(qualified_name);
    self->doc = Py_NewRef(doc);
    self->signature = Py_NewRef(signature);
    return (PyObject *)self;
}

static int entry_traverse(PyObject *object, visitproc visit, void *arg)
{
    Entry *self = (Entry *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->gate);
    Py_VISIT((PyObject *)self->meter);
    Py_VISIT(self->bind);
    Py_VISIT(self->arrange);
    Py_VISIT(self->finish);
    Py_VISIT(self->generation);
    Py_VISIT(self->invoke);
    Py_VISIT(self->signature);
    return 0;
}

static int entry_clear(PyObject *object)
{
    Entry *self = (Entry *)object;
    Py_CLEAR(self->gate);
    Py_CLEAR(self->meter);
    Py_CLEAR(self->bind);
    Py_CLEAR(self->arrange);
    Py_CLEAR(self->finish);
    Py_CLEAR(self->generation);
    Py_CLEAR(self->invoke);
    Py_CLEAR(self->name);
    Py_CLEAR(self->qualified_name);
    Py_CLEAR(self->doc);
    Py_CLEAR(self->signature);
    return 0;
}

static void entry_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (((Entry *)object)->weak_references != NULL)
        PyObject_ClearWeakRefs(object);
    entry_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *entry_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<method %S>", ((Entry *)self)->qualified_name);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Entry, call), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Entry, weak_references), READONLY, NULL},
    {"__name__", T_OBJECT, offsetof(Entry, name), READONLY, NULL},
    {"__qualname__", T_OBJECT, offsetof(Entry, qualified_name), READONLY, NULL},
    {"__doc__", T_OBJECT, offsetof(Entry, doc), READONLY, NULL},
    {"__signature__", T_OBJECT, offsetof(Entry, signature), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)entry_new},
    {Py_tp_dealloc, (void *)entry_free},
    {Py_tp_traverse, (void *)entry_traverse},
    {Py_tp_clear, (void *)entry_clear},
    {Py_tp_call, (void *)entry_call_tuple},
    {Py_tp_repr, (void *)entry_repr},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Entry",
    .basicsize = sizeof(Entry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

int lb_add_entry(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    const int result = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return result;
}
