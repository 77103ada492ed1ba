/* `_core.Lookup`: a name → its address, in the objects of a loaded library.  What dlsym(3) does once it knows where to
 * look, in one call from Python. */
#include "py_match.h"

#include <elf.h>
#include <stdlib.h>

struct place {
    PyObject *table; /* a SymbolTable; owned */
    uint64_t base;
};

typedef struct {
    PyObject_HEAD
    struct place *places;
    Py_ssize_t count;
} Lookup;

static PyObject *lookup_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    if (PyTuple_Size(args) != 0 || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "Lookup takes no arguments");
        return NULL;
    }
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static void lookup_free(PyObject *object)
{
    Lookup *self = (Lookup *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t i = 0; i < self->count; i++)
        Py_DECREF(self->places[i].table);
    PyMem_Free(self->places);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static Py_ssize_t lookup_length(PyObject *object) { return ((Lookup *)object)->count; }

static PyObject *lookup_add(PyObject *object, PyObject *args)
{
    Lookup *self = (Lookup *)object;
    PyObject *table;
    unsigned long long base;
    if (!PyArg_ParseTuple(args, "OO&:add", &table, lb_as_uint64, &base))
        return NULL;
    if (!lb_is_table(table)) {
        PyErr_SetString(PyExc_TypeError, "add needs a SymbolTable");
        return NULL;
    }
    struct place *places = PyMem_Realloc(self->places, (size_t)(self->count + 1) * sizeof *places);
    if (places == NULL)
        return PyErr_NoMemory();
    places[self->count++] = (struct place){Py_NewRef(table), base};
    self->places = places;
    Py_RETURN_NONE;
}

static PyObject *found_at(const struct place *place, Py_ssize_t number, const struct lb_symbol *found)
{
    const unsigned type = ELF64_ST_TYPE(found->info);
    if (type == STT_TLS || type == STT_GNU_IFUNC || found->section == SHN_ABS)
        return Py_BuildValue("(nKII)", number, (unsigned long long)found->value, type, (unsigned)found->section);
    return PyLong_FromUnsignedLongLong(place->base + found->value);
}

static PyObject *search(const Lookup *self, struct lb_text name, const struct lb_version *version)
{
    uint64_t budget = UINT64_MAX; /* one chain is no longer than the file */
    const struct lb_wanted wanted = lb_wanted_by_name(name, version, &budget);
    for (Py_ssize_t i = 0; i < self->count; i++) {
        struct lb_found found;
        if (lb_search(lb_symbols_of(self->places[i].table), &wanted, &found))
            return found_at(&self->places[i], i, &found.fields);
    }
    Py_RETURN_NONE;
}

static PyObject *lookup_find(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct lb_text name;
    struct lb_version version = {.hidden = true, .file = {"", 0}};
    PyObject *owners[2] = {NULL, NULL}, *result = NULL;
    const bool has_version = count == 2 && args[1] != Py_None;
    if (count < 1 || count > 2) {
        PyErr_Format(PyExc_TypeError, "find takes a name and a version, not %zd arguments", count);
        return NULL;
    }
    if (lb_take_text(args[0], &name, &owners[0]) && (!has_version || lb_take_text(args[1], &version.name, &owners[1]))) {
        if (has_version)
            version.hash = lb_sysv_hash(version.name);
        result = search((const Lookup *)object, name, has_version ? &version : NULL);
    }
    Py_XDECREF(owners[0]);
    Py_XDECREF(owners[1]);
    return result;
}

static PyMethodDef methods[] = {
    {"add", lookup_add, METH_VARARGS,
     "add(table, base, /) -> None\n\nAlso look into the object with this SymbolTable and this load bias, after the others."},
    {"find", (PyCFunction)(void (*)(void))lookup_find, METH_FASTCALL,
     "find(name, version=None, /)\n--\n\n"
     "Where the first object that defines `name` has it; without a version the default one is taken (dlsym(3), dlvsym(3)).\n"
     "A runtime address; for an absolute or a thread-local symbol and for an IFUNC (number of the object, value, type,\n"
     "section index); None where none defines it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)lookup_new},
    {Py_tp_dealloc, (void *)lookup_free},
    {Py_tp_methods, methods},
    {Py_sq_length, (void *)lookup_length},
    {Py_tp_doc, (void *)"Lookup()\n--\n\nFinds names in objects, one after the other; len() says in how many, at first in none."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Lookup",
    .basicsize = sizeof(Lookup),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lb_add_lookup(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return status;
}
