/* The type `_core.Function`; py_function.h says how the work is divided. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "py_function.h"

static PyTypeObject *function_type; /* owned; the module is loaded once in a process */

bool lb_is_function(PyObject *value)
{
    return Py_IS_TYPE(value, function_type);
}

int lb_function_address(PyObject *value, uint64_t *address)
{
    const lb_function *function = (const lb_function *)value;
    if (function->lifetime != NULL && function->lifetime->is_over)
        return lb_lifetime_refuse(function->lifetime);
    *address = function->target;
    return 0;
}

/* the object ----------------------------------------------------------------------------------------------------------- */

static bool is_in_one_register(const struct lb_slot *slot)
{
    return slot->op != LB_RECORD && slot->piece_count == 1 && slot->pieces[0].size <= 8 &&
           slot->pieces[0].word < LB_CALL_STACK;
}

/* How much a call must have room for, and whether it is of the plain kind. */
static void look_at_slots(lb_function *self)
{
    const struct lb_slot *result = &self->signature.result;
    self->is_plain = !self->is_variadic && (result->op == LB_VOID || (is_in_one_register(result) && !result->x87_count));
    for (uint32_t i = 0; i < self->signature.count; i++) {
        const struct lb_slot *slot = &self->signature.parameters[i];
        self->pointers += slot->op == LB_RECORD ? 2 : slot->op == LB_TEXT || slot->op == LB_POINTER;
        self->outs += (slot->flags & LB_OUT) != 0;
        self->is_plain = self->is_plain && is_in_one_register(slot);
        for (uint32_t k = 0; k < slot->piece_count; k++)
            if (slot->pieces[k].size > 8 && slot->pieces[k].word < LB_CALL_STACK)
                self->wide = LB_CALL_WIDE;
    }
    self->given = self->signature.count - self->outs;
    self->is_plain = self->is_plain && self->outs == 0 && self->pointers <= LB_FEW_KEPT;
}

static PyObject *function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *prototype, *library, *result, *parameters, *lifetime, *convert;
    unsigned long long target;
    int is_variadic, releases_lock;
    static char *names[] = {"prototype", "address",  "library", "result",      "parameters",    "used",
                            "variadic",  "lifetime", "convert", "releases_lock", NULL};
    lb_function *self = (lb_function *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO&UO!O!(III)pOOp:Function", names, &prototype, lb_as_uint64, &target,
                                     &library, &PyTuple_Type, &result, &PyTuple_Type, &parameters, &self->integers,
                                     &self->vectors, &self->stack_words, &is_variadic, &lifetime, &convert,
                                     &releases_lock))
        goto fail;
    if (target == 0 || (lifetime != Py_None && !lb_is_lifetime(lifetime)) || self->stack_words > LB_MOST_STACK_WORDS ||
        self->integers > LB_CALL_INTEGERS || self->vectors > LB_CALL_VECTORS) {
        PyErr_SetString(PyExc_ValueError, "a broken description of a function");
        goto fail;
    }
    self->call = lb_function_call;
    self->target = target;
    self->prototype = Py_NewRef(prototype);
    self->library = Py_NewRef(library);
    self->convert = convert == Py_None ? NULL : Py_NewRef(convert);
    self->lifetime = lifetime == Py_None ? NULL : (lb_lifetime *)Py_NewRef(lifetime);
    self->is_variadic = is_variadic;
    self->releases_lock = releases_lock;
    if (lb_signature_read(&self->signature, result, parameters, self->stack_words) < 0)
        goto fail;
    look_at_slots(self);
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static int function_traverse(PyObject *object, visitproc visit, void *arg)
{
    lb_function *self = (lb_function *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->prototype);
    Py_VISIT(self->library);
    Py_VISIT(self->convert);
    Py_VISIT((PyObject *)self->lifetime);
    return lb_signature_visit(&self->signature, visit, arg);
}

static int function_clear(PyObject *object)
{
    lb_function *self = (lb_function *)object;
    Py_CLEAR(self->prototype);
    Py_CLEAR(self->library);
    Py_CLEAR(self->convert);
    Py_CLEAR(self->lifetime);
    lb_signature_clear(&self->signature);
    return 0;
}

static void function_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    function_clear(object);
    lb_signature_free(&((lb_function *)object)->signature);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *function_repr(PyObject *object)
{
    const lb_function *self = (const lb_function *)object;
    return PyUnicode_FromFormat("<%S in %S at %p>", self->prototype, self->library, (void *)(uintptr_t)self->target);
}

static PyObject *function_address(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((lb_function *)object)->target);
}

static PyObject *function_releases(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((lb_function *)object)->releases_lock);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(lb_function, call), READONLY, NULL},
    {"prototype", T_OBJECT, offsetof(lb_function, prototype), READONLY, "What it takes and gives."},
    {"library", T_OBJECT, offsetof(lb_function, library), READONLY, "The name that messages show."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"address", function_address, NULL, "Where its code is.", NULL},
    {"releases_lock", function_releases, NULL, "Whether other Python threads run during a call.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(function_doc,
    "A C function at a runtime address, with the prototype that says how to call it.\n\n"
    "Called with the wrong number of arguments or a value that its parameter cannot hold, it raises TypeError,\n"
    "OverflowError or ValueError, and nothing has been called.");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)function_new},
    {Py_tp_dealloc, (void *)function_free},
    {Py_tp_traverse, (void *)function_traverse},
    {Py_tp_clear, (void *)function_clear},
    {Py_tp_call, (void *)lb_function_call_tuple},
    {Py_tp_repr, (void *)function_repr},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)function_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Function",
    .basicsize = sizeof(lb_function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

static PyObject *op_names(void)
{
#define LB_NAME(name, size) #name,
    static const char *const names[] = {LB_OPS(LB_NAME)};
#undef LB_NAME
    PyObject *tuple = PyTuple_New(LB_OP_COUNT);
    for (Py_ssize_t i = 0; tuple != NULL && i < LB_OP_COUNT; i++)
        PyTuple_SetItem(tuple, i, PyUnicode_FromString(names[i]));
    return tuple;
}

int lb_add_function(PyObject *module)
{
    PyObject *names = op_names();
    int result = names == NULL ? -1 : PyModule_AddObjectRef(module, "OPS", names);
    Py_XDECREF(names);
    PyObject *type = result < 0 ? NULL : PyType_FromModuleAndSpec(module, &spec, NULL);
    function_type = (PyTypeObject *)type;
    if (type == NULL || PyModule_AddType(module, function_type) < 0 ||
        PyModule_AddFunctions(module, lb_errno_functions) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "CALL_MACHINE", LB_CALL_MACHINE);
}
