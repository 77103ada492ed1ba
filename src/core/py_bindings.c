/* The Python face of bindings.c: `_core.Bindings`, what the references of one object are bound to. */
#include "py_bindings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    PyObject *table; /* the referrer: names are read from it when they are asked for */
    struct lb_bound_list list;
    uint32_t scope_count;
    unsigned flags;      /* enum lb_bound_flag: those that some row has */
    bool has_unresolved; /* some row is LB_BIND_UNRESOLVED */
    uint64_t text_budget; /* bytes of names that may still become Python strings */
} Bindings;

/* ---- making ---------------------------------------------------------------------------------------------------------- */

uint32_t *lb_numbers_of(PyObject *tuple, uint32_t *count)
{
    Py_ssize_t n = PyTuple_Size(tuple);
    uint32_t *numbers = n < 0 || n > INT32_MAX ? NULL : calloc((size_t)n + 1, sizeof *numbers);
    if (!numbers && !PyErr_Occurred())
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; numbers && i < n; i++) {
        unsigned long value = PyLong_AsUnsignedLong(PyTuple_GetItem(tuple, i));
        if (value == (unsigned long)-1 && PyErr_Occurred()) {
            free(numbers);
            return NULL;
        }
        numbers[i] = (uint32_t)value;
    }
    *count = (uint32_t)n;
    return numbers;
}

PyObject *lb_bindings_make(PyObject *type, PyObject *table, struct lb_bound_list *list, uint32_t scope_count)
{
    const struct lb_symbols *s = lb_symbols_of(table);
    allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    Bindings *self = (Bindings *)alloc((PyTypeObject *)type, 0);
    if (!self)
        return NULL;
    uint64_t strings = s->at.strtab_size < s->view.size ? s->at.strtab_size : s->view.size;
    self->table = Py_NewRef(table);
    self->list = *list;
    *list = (struct lb_bound_list){0};
    self->scope_count = scope_count;
    for (uint32_t i = 0; i < self->list.count; i++) {
        self->flags |= self->list.rows[i].flags;
        self->has_unresolved |= self->list.rows[i].kind == LB_BIND_UNRESOLVED;
    }
    self->text_budget = (UINT64_C(1) << 16) + (uint64_t)self->list.count * 64 + strings * 16;
    return (PyObject *)self;
}

const struct lb_bound_list *lb_rows_of(PyObject *bindings, uint32_t *scope_count)
{
    *scope_count = ((const Bindings *)bindings)->scope_count;
    return &((const Bindings *)bindings)->list;
}

static void bindings_free(PyObject *object)
{
    Bindings *self = (Bindings *)object;
    PyTypeObject *type = Py_TYPE(object);
    lb_bound_release(&self->list);
    Py_XDECREF(self->table);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

static PyObject *types_of(const Bindings *self, uint64_t bits)
{
    PyObject *tuple = PyTuple_New(__builtin_popcountll(bits));
    for (Py_ssize_t i = 0; tuple && bits; bits &= bits - 1, i++) {
        PyObject *number = PyLong_FromUnsignedLong(self->list.types[__builtin_ctzll(bits)]);
        if (!number)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, i, number);
    }
    return tuple;
}

/* Whether `length` more bytes of names are affordable: in a hostile table all names overlap. */
static bool afford_text(Bindings *self, uint64_t length)
{
    if (length > self->text_budget) {
        PyErr_SetString(PyExc_ValueError, "the names of its symbols overlap again and again");
        return false;
    }
    self->text_budget -= length;
    return true;
}

static long long place_of(const struct lb_bound *row)
{
    return row->scope == LB_SELF ? -1 : row->scope == LB_NOWHERE ? -2 : (long long)row->scope;
}

static PyObject *bindings_row(PyObject *object, Py_ssize_t number)
{
    Bindings *self = (Bindings *)object;
    const struct lb_symbols *symbols = lb_symbols_of(self->table);
    struct lb_symbol own = {0};
    if (number < 0 || number >= (Py_ssize_t)self->list.count)
        return PyErr_Format(PyExc_IndexError, "row %zd of %lu", number, (unsigned long)self->list.count);
    const struct lb_bound *row = &self->list.rows[number];
    lb_symbol_at(symbols, row->symbol, &own);
    const struct lb_version *version = lb_version_of(symbols, row->symbol, NULL);
    if (!afford_text(self, (uint64_t)own.name.length + (version ? version->name.length : 0)))
        return NULL;
    PyObject *name = lb_text_to_python(own.name), *types = types_of(self, row->types);
    PyObject *version_name = version ? lb_text_to_python(version->name) : Py_NewRef(Py_None), *result = NULL;
    if (name && types && version_name)
        result = Py_BuildValue("(IOOOOiiLKKIO)", row->symbol, name, version_name,
                               row->flags & LB_BOUND_WEAK ? Py_True : Py_False, types, (int)row->kind, (int)row->how,
                               place_of(row), (unsigned long long)row->value, (unsigned long long)row->size,
                               row->target_symbol, row->flags & LB_BOUND_UNIQUE ? Py_True : Py_False);
    Py_XDECREF(name);
    Py_XDECREF(types);
    Py_XDECREF(version_name);
    return result;
}

static Py_ssize_t bindings_length(PyObject *object) { return (Py_ssize_t)((Bindings *)object)->list.count; }

/* ---- questions about all of them --------------------------------------------------------------------------------------- */

/* The numbers of the rows with one of `flags`, or with `kind` (LB_BIND_UNRESOLVED; none: -1). */
static PyObject *rows_with(const Bindings *self, unsigned flags, int kind)
{
    PyObject *list = PyList_New(0);
    bool is_there = self->flags & flags || (kind == LB_BIND_UNRESOLVED && self->has_unresolved);
    for (uint32_t i = 0; list && is_there && i < self->list.count; i++) {
        const struct lb_bound *row = &self->list.rows[i];
        if (!(row->flags & flags) && (int)row->kind != kind)
            continue;
        PyObject *number = PyLong_FromUnsignedLong(i);
        if (!number || PyList_Append(list, number) < 0)
            Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *bindings_watched(PyObject *object, void *unused)
{
    (void)unused;
    return rows_with((Bindings *)object, LB_BOUND_WATCHED | LB_BOUND_UNIQUE, -1);
}

PyDoc_STRVAR(served_doc,
    "served(objects, services, providers)\n--\n\n"
    "The watched rows, without unique ones, whose name is one of `services`, a dict of names to numbers, and whose definition\n"
    "is in one of `providers`, a set of objects: a dict of row number to (LB_BIND_SERVICE, object, number), as `packed` takes\n"
    "it. objects: a tuple of the plan's object index for each place in the scope.");

/* Adds the row to `found` where it is one. */
static int add_served(Bindings *self, uint32_t number, PyObject *objects, PyObject *services, PyObject *providers,
                      PyObject *found)
{
    const struct lb_bound *row = &self->list.rows[number];
    struct lb_symbol own = {0};
    PyObject *object = PyTuple_GetItem(objects, (Py_ssize_t)row->scope);
    int is_provided = object ? PySet_Contains(providers, object) : -1;
    if (is_provided <= 0)
        return is_provided;
    lb_symbol_at(lb_symbols_of(self->table), row->symbol, &own);
    if (!afford_text(self, own.name.length))
        return -1;
    PyObject *name = lb_text_to_python(own.name);
    PyObject *service = name ? PyDict_GetItemWithError(services, name) : NULL; /* borrowed */
    PyObject *key = service ? PyLong_FromUnsignedLong(number) : NULL;
    PyObject *patch = key ? Py_BuildValue("(iOO)", (int)LB_BIND_SERVICE, object, service) : NULL;
    int status = patch ? PyDict_SetItem(found, key, patch) : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(name);
    Py_XDECREF(key);
    Py_XDECREF(patch);
    return status;
}

static PyObject *bindings_served(PyObject *object, PyObject *args)
{
    Bindings *self = (Bindings *)object;
    PyObject *objects, *services, *providers, *found;
    if (!PyArg_ParseTuple(args, "O!O!O:served", &PyTuple_Type, &objects, &PyDict_Type, &services, &providers) ||
        !(found = PyDict_New()))
        return NULL;
    for (uint32_t i = 0; found && self->flags & LB_BOUND_WATCHED && i < self->list.count; i++) {
        const struct lb_bound *row = &self->list.rows[i];
        bool is_wanted = (row->flags & (LB_BOUND_WATCHED | LB_BOUND_UNIQUE)) == LB_BOUND_WATCHED;
        if (is_wanted && row->scope < self->scope_count && add_served(self, i, objects, services, providers, found) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *bindings_unique(PyObject *object, void *unused)
{
    (void)unused;
    return rows_with((Bindings *)object, LB_BOUND_UNIQUE, -1);
}

static PyObject *bindings_unresolved(PyObject *object, void *unused)
{
    (void)unused;
    return rows_with((Bindings *)object, 0, LB_BIND_UNRESOLVED);
}

static PyObject *bindings_types(PyObject *object, void *unused)
{
    const Bindings *self = (Bindings *)object;
    (void)unused;
    return types_of(self, self->list.type_count < 64 ? (UINT64_C(1) << self->list.type_count) - 1 : UINT64_MAX);
}

static PyObject *bindings_own_types(PyObject *object, void *unused)
{
    (void)unused;
    return types_of((Bindings *)object, ((Bindings *)object)->list.own_types);
}

PyDoc_STRVAR(places_doc,
    "places(types)\n--\n\n"
    "The set of places in the scope (-1: the referrer itself) that references of these relocation types are bound to.");

static PyObject *bindings_places(PyObject *object, PyObject *types)
{
    Bindings *self = (Bindings *)object;
    uint32_t count = 0;
    uint64_t bits = 0;
    uint32_t *wanted = PyTuple_Check(types) ? lb_numbers_of(types, &count) : (PyErr_BadArgument(), NULL);
    if (!wanted)
        return NULL;
    for (uint32_t i = 0; i < self->list.type_count; i++)
        for (uint32_t w = 0; w < count; w++)
            if (self->list.types[i] == wanted[w])
                bits |= UINT64_C(1) << i;
    free(wanted);
    PyObject *set = PySet_New(NULL);
    for (uint32_t i = 0; set && bits && i < self->list.count; i++) {
        const struct lb_bound *row = &self->list.rows[i];
        PyObject *place = row->types & bits && row->scope != LB_NOWHERE ? PyLong_FromLongLong(place_of(row)) : NULL;
        if (PyErr_Occurred() || (place && PySet_Add(set, place) < 0))
            Py_CLEAR(set);
        Py_XDECREF(place);
    }
    return set;
}

/* ---- the type ------------------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(bindings_doc,
    "What the references of one object are bound to: made by SymbolTable.bind, a sequence of rows, one for each symbol\n"
    "and class of reference (address, call, copy), each a tuple (symbol index, name, version or None, weak, relocation\n"
    "types, kind, how, place, value, size, the definition's symbol index, unique). place: where in the scope the\n"
    "definition lies, -1 for the referrer itself, -2 for nowhere.\n\n"
    "watched: numbers of the rows that may need a second look: a watched name, or a unique definition; unique: of the latter.\n"
    "unresolved: numbers of those without a definition that are not weak. own_types: the relocation types of references\n"
    "without a symbol; types: those of all references.");

static PyMethodDef methods[] = {
    {"places", bindings_places, METH_O, places_doc},
    {"served", bindings_served, METH_VARARGS, served_doc},
    {"packed", lb_bindings_packed, METH_VARARGS, lb_packed_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"watched", bindings_watched, NULL, NULL, NULL},
    {"unique", bindings_unique, NULL, NULL, NULL},
    {"unresolved", bindings_unresolved, NULL, NULL, NULL},
    {"own_types", bindings_own_types, NULL, NULL, NULL},
    {"types", bindings_types, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)bindings_free},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_sq_length, (void *)bindings_length},
    {Py_sq_item, (void *)bindings_row},
    {Py_tp_doc, (void *)bindings_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Bindings",
    .basicsize = sizeof(Bindings),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int lb_add_bindings(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}
