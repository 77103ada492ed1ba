/* The Python face of bindings.c: `_core.Bindings`, what the references of one object are bound to. */
#include "bindings.h"
#include "py_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    PyObject *table; /* the referrer: names are read from it when they are asked for */
    struct lb_bound_list list;
    uint32_t scope_count;
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
    self->text_budget = (UINT64_C(1) << 16) + (uint64_t)self->list.count * 64 + strings * 16;
    return (PyObject *)self;
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

/* The numbers of the rows with one of `flags`, or with `kind` (none: -1). */
static PyObject *rows_with(const Bindings *self, unsigned flags, int kind)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < self->list.count; i++) {
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

/* ---- the packed records --------------------------------------------------------------------------------------------------- */

struct packing { /* what becomes the records of one object */
    uint32_t *objects; /* the plan's indexes of the scope */
    uint32_t own, symbols;
    struct lb_plan_binding *patched; /* a record for each row, symbol 0 where none; NULL without any */
    uint32_t *first;                 /* by symbol: the number of its first row plus 1, 0 if none */
    PyObject *targets;               /* a set: the objects that are bound to */
    uint32_t last;                   /* that was put there */
};

static int note_target(struct packing *p, uint32_t object)
{
    if (object == p->last || object == UINT32_MAX)
        return 0;
    p->last = object;
    PyObject *number = PyLong_FromUnsignedLong(object);
    int status = number ? PySet_Add(p->targets, number) : -1;
    Py_XDECREF(number);
    return status;
}

/* The records, in order of symbols, as bytes.  Where a call and an address of one symbol bind differently, the address's
 * binding serves both: it comes first. */
static PyObject *sorted_records(const Bindings *self, struct packing *p)
{
    uint32_t count = 0;
    for (uint32_t i = self->list.count; i-- != 0;) {
        uint32_t *place = &p->first[self->list.rows[i].symbol];
        count += *place == 0;
        *place = i + 1;
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(struct lb_plan_binding)));
    char *out = result ? PyBytes_AsString(result) : NULL;
    for (uint32_t symbol = 0; result && symbol < p->symbols; symbol++) {
        if (!p->first[symbol])
            continue;
        uint32_t i = p->first[symbol] - 1;
        bool is_patched = p->patched && p->patched[i].symbol;
        struct lb_plan_binding record =
            is_patched ? p->patched[i] : lb_bound_record(&self->list.rows[i], p->objects, p->own);
        memcpy(out, &record, sizeof record);
        out += sizeof record;
        if (note_target(p, record.object) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* `patches`: row number → (kind, object or -1, value), into an array with a record for each row; symbol 0 where none. */
static int take_patches(const Bindings *self, PyObject *patches, struct lb_plan_binding *patched)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(patches, &position, &key, &value)) {
        unsigned int kind;
        long long target;
        unsigned long long number;
        Py_ssize_t row = PyLong_AsSsize_t(key);
        if (row == -1 && PyErr_Occurred())
            return -1;
        if (row < 0 || row >= (Py_ssize_t)self->list.count) {
            PyErr_Format(PyExc_IndexError, "row %zd of %lu", row, (unsigned long)self->list.count);
            return -1;
        }
        if (!PyArg_ParseTuple(value, "ILK", &kind, &target, &number))
            return -1;
        patched[row] = (struct lb_plan_binding){self->list.rows[row].symbol, kind,
                                                target < 0 ? UINT32_MAX : (uint32_t)target, 0, number};
    }
    return 0;
}

static uint32_t symbols_in(const Bindings *self)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < self->list.count; i++)
        if (self->list.rows[i].symbol >= most)
            most = self->list.rows[i].symbol + 1;
    return most;
}

PyDoc_STRVAR(packed_doc,
    "packed(objects, own, patches)\n--\n\n"
    "The packed plan's records (struct lb_plan_binding), one for each symbol, in order of symbols, and the set of objects that\n"
    "they bind to. objects: a tuple of the plan's object index for each place in the scope; own: the referrer's. patches: a\n"
    "dict of row number to (kind, object or -1, value), which take the place of what the row says.");

static PyObject *pack(const Bindings *self, struct packing *p, PyObject *patches)
{
    bool has_patches = PyDict_Size(patches) != 0;
    p->symbols = symbols_in(self);
    p->first = calloc((size_t)p->symbols + 1, sizeof *p->first);
    p->patched = has_patches ? calloc((size_t)self->list.count + 1, sizeof *p->patched) : NULL;
    p->targets = PySet_New(NULL);
    if (!p->first || (has_patches && !p->patched))
        return PyErr_NoMemory();
    if (!p->targets || take_patches(self, patches, p->patched) < 0)
        return NULL;
    PyObject *records = sorted_records(self, p), *result = records ? PyTuple_Pack(2, records, p->targets) : NULL;
    Py_XDECREF(records);
    return result;
}

static PyObject *bindings_packed(PyObject *object, PyObject *args)
{
    Bindings *self = (Bindings *)object;
    PyObject *tuple, *patches, *result = NULL;
    struct packing packing = {.last = UINT32_MAX};
    uint32_t count = 0;
    if (!PyArg_ParseTuple(args, "O!IO!", &PyTuple_Type, &tuple, &packing.own, &PyDict_Type, &patches) ||
        !(packing.objects = lb_numbers_of(tuple, &count)))
        return NULL;
    if (count != self->scope_count)
        PyErr_Format(PyExc_ValueError, "%lu objects for a scope of %lu", (unsigned long)count, (unsigned long)self->scope_count);
    else
        result = pack(self, &packing, patches);
    free(packing.objects);
    free(packing.patched);
    free(packing.first);
    Py_XDECREF(packing.targets);
    return result;
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
    {"packed", bindings_packed, METH_VARARGS, packed_doc},
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
