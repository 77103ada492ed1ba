/* The Python face of match.c and references.c: `_core.SymbolTable`, one object's symbols ready to be searched. */
#include "match.h"
#include "module.h"
#include "references.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    Py_buffer buffer;
    struct lb_symbols symbols;
} SymbolTable;

static PyObject *text_to_python(struct lb_text text)
{
    return PyUnicode_DecodeUTF8(text.start, text.length, "surrogateescape");
}

static struct lb_text text_from(const char *start, Py_ssize_t length)
{
    return (struct lb_text){start, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length};
}

static bool host_is_little(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

PyDoc_STRVAR(table_doc,
    "SymbolTable(data, is64, little, tables)\n--\n\n"
    "One object's dynamic symbols, searched over the bytes of its file.\n\n"
    "data: a buffer with the whole file. is64, little: its class and byte order. tables: ten numbers, file\n"
    "offsets -1 where a table is absent: symtab, strtab, size of strtab, GNU hash, SysV hash, versym, verdef, number of\n"
    "verdef records, verneed, number of verneed records.\n"
    "Raises ValueError(offset) where the version records reach beyond the file.");

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *data;
    int is64, little;
    long long n[10];
    static char *names[] = {"data", "is64", "little", "tables", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Opp(LLLLLLLLLL)", names, &data, &is64, &little, &n[0], &n[1],
                                     &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9]))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    SymbolTable *self = (SymbolTable *)alloc(type, 0);
    if (!self)
        return NULL;
    if (PyObject_GetBuffer(data, &self->buffer, PyBUF_SIMPLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    struct lb_symbols *s = &self->symbols;
    s->view = (struct lb_view){self->buffer.buf, (uint64_t)self->buffer.len, is64, (bool)little != host_is_little()};
    s->at = (struct lb_tables){(uint64_t)n[0], (uint64_t)n[1], (uint64_t)n[2], (uint64_t)n[3], (uint64_t)n[4],
                               (uint64_t)n[5], (uint64_t)n[6], (uint64_t)n[7], (uint64_t)n[8], (uint64_t)n[9]};
    uint64_t bad = 0;
    if (lb_symbols_prepare(s, &bad) < 0) {
        if (errno == ENOMEM)
            PyErr_NoMemory();
        else
            PyErr_SetObject(PyExc_ValueError, PyLong_FromUnsignedLongLong(bad));
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void table_free(PyObject *object)
{
    SymbolTable *self = (SymbolTable *)object;
    PyTypeObject *type = Py_TYPE(object);
    lb_symbols_release(&self->symbols);
    if (self->buffer.obj)
        PyBuffer_Release(&self->buffer);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* (how, scope index or -1, symbol index, value, size, info, section) of a match. */
static PyObject *match_fields(const struct lb_symbols *owner, struct lb_match match)
{
    struct lb_symbol sym = {0};
    if (owner)
        lb_symbol_at(owner, match.symbol, &sym);
    long long scope = match.scope == UINT32_MAX ? -1 : (long long)match.scope;
    return Py_BuildValue("iLIKKii", (int)match.how, scope, match.symbol, (unsigned long long)sym.value,
                         (unsigned long long)sym.size, (int)sym.info, (int)sym.section);
}

struct bind_budget { /* what one call of bind may still cost; an honest file needs a small part of it */
    uint64_t steps; /* along hash chains */
    uint64_t text;  /* bytes of names that become Python strings */
};

static struct bind_budget budget_for(const struct lb_symbols *s, uint64_t requests, uint64_t scope_count)
{
    uint64_t strings = s->at.strtab_size < s->view.size ? s->at.strtab_size : s->view.size;
    return (struct bind_budget){(UINT64_C(1) << 26) + requests * scope_count * 1024,
                                (UINT64_C(1) << 16) + requests * 64 + strings * 16};
}

/* Whether `length` more bytes of names are affordable; raises ValueError where they are not. */
static bool afford_text(struct bind_budget *budget, uint64_t length)
{
    if (length > budget->text) {
        PyErr_SetString(PyExc_ValueError, "the names of its symbols overlap again and again");
        return false;
    }
    budget->text -= length;
    return true;
}

static PyObject *bind_one(SymbolTable *self, uint32_t index, int class, const struct lb_symbols **scope, uint32_t count,
                          struct bind_budget *budget)
{
    struct lb_symbol own = {0};
    if (!lb_symbol_at(&self->symbols, index, &own))
        return PyErr_Format(PyExc_IndexError, "symbol %lu", (unsigned long)index);
    const struct lb_version *version = lb_version_of(&self->symbols, index, NULL);
    if (!afford_text(budget, (uint64_t)own.name.length + (version ? version->name.length : 0)))
        return NULL;
    struct lb_match match = lb_bind(&self->symbols, index, (enum lb_class)class, scope, count, &budget->steps);
    if (!budget->steps) {
        PyErr_SetString(PyExc_ValueError, "the hash chains in its scope are so long that they must be broken");
        return NULL;
    }
    bool own_definition = match.how == LB_HOW_LOCAL || match.how == LB_HOW_PROTECTED;
    const struct lb_symbols *owner = own_definition ? &self->symbols : match.scope != UINT32_MAX ? scope[match.scope] : NULL;
    PyObject *fields = match_fields(owner, match);
    PyObject *name = text_to_python(own.name);
    PyObject *version_name = version ? text_to_python(version->name) : Py_NewRef(Py_None);
    PyObject *row = NULL;
    if (fields && name && version_name)
        row = Py_BuildValue("(IiOOiiO)", index, class, name, version_name, (int)own.info, (int)own.section, fields);
    Py_XDECREF(fields);
    Py_XDECREF(name);
    Py_XDECREF(version_name);
    return row;
}

static PyObject *bind_all(SymbolTable *self, PyObject *requests, const struct lb_symbols **scope, uint32_t count)
{
    Py_ssize_t n = PyList_Size(requests);
    PyObject *rows = n < 0 ? NULL : PyList_New(n);
    struct bind_budget budget = budget_for(&self->symbols, n < 0 ? 0 : (uint64_t)n, count);
    for (Py_ssize_t i = 0; rows && i < n; i++) {
        unsigned int index;
        int class;
        PyObject *request = PyList_GetItem(requests, i);
        PyObject *row = NULL;
        if (request && PyArg_ParseTuple(request, "Ii", &index, &class))
            row = bind_one(self, index, class, scope, count, &budget);
        if (!row) {
            Py_CLEAR(rows);
            break;
        }
        PyList_SetItem(rows, i, row);
    }
    return rows;
}

PyDoc_STRVAR(bind_doc,
    "bind(requests, scope)\n--\n\n"
    "Bind references. requests: a list of (symbol index, class); scope: a tuple of SymbolTable in search order.\n"
    "Returns a list of (index, class, name, version or None, info, section, match), match being (how, scope index or\n"
    "-1, symbol index, value, size, info, section) of the definition. Raises IndexError for an index not in the file,\n"
    "ValueError where names overlap or hash chains are so long that no linker can have made them.");

static PyObject *table_bind(PyObject *object, PyObject *args)
{
    PyObject *requests, *scope;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &requests, &PyTuple_Type, &scope))
        return NULL;
    Py_ssize_t count = PyTuple_Size(scope);
    const struct lb_symbols **tables = malloc((size_t)(count ? count : 1) * sizeof *tables);
    if (!tables)
        return PyErr_NoMemory();
    PyObject *result = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(scope, i);
        if (Py_TYPE(item) != Py_TYPE(object)) {
            PyErr_SetString(PyExc_TypeError, "the scope holds something else than SymbolTable");
            goto done;
        }
        tables[i] = &((SymbolTable *)item)->symbols;
    }
    result = bind_all((SymbolTable *)object, requests, tables, (uint32_t)count);
done:
    free(tables);
    return result;
}

PyDoc_STRVAR(find_doc,
    "find(name, version=None)\n--\n\n"
    "Look `name` up in this object as dlsym does (version None) or dlvsym. Returns None or\n"
    "(how, 0, symbol index, value, size, info, section).");

static PyObject *table_find(PyObject *object, PyObject *args)
{
    SymbolTable *self = (SymbolTable *)object;
    const char *name, *version = NULL;
    Py_ssize_t name_length, version_length = 0;
    if (!PyArg_ParseTuple(args, "s#|z#", &name, &name_length, &version, &version_length))
        return NULL;
    struct lb_version wanted = {.hidden = true, .file = {"", 0}};
    if (version) {
        wanted.name = text_from(version, version_length);
        wanted.hash = lb_sysv_hash(wanted.name);
    }
    struct lb_match match = lb_find(&self->symbols, text_from(name, name_length), version ? &wanted : NULL);
    if (match.scope == UINT32_MAX)
        Py_RETURN_NONE;
    return match_fields(&self->symbols, match);
}

PyDoc_STRVAR(references_doc,
    "references(tables, relative)\n--\n\n"
    "Which symbols the relocation tables refer to: a list of (symbol index, type), each once, in order of first\n"
    "appearance. tables: a tuple of (file offset, size, has_addend); relative: the machine's RELATIVE type, passed\n"
    "over. Raises ValueError where a table or a symbol index lies outside the file.");

static PyObject *references_to_python(const struct lb_reference_list *list)
{
    PyObject *rows = PyList_New((Py_ssize_t)list->count);
    for (uint64_t i = 0; rows && i < list->count; i++) {
        PyObject *row = Py_BuildValue("(II)", list->items[i].symbol, list->items[i].type);
        if (!row) {
            Py_CLEAR(rows);
            break;
        }
        PyList_SetItem(rows, (Py_ssize_t)i, row);
    }
    return rows;
}

static PyObject *table_references(PyObject *object, PyObject *args)
{
    SymbolTable *self = (SymbolTable *)object;
    PyObject *tables;
    unsigned int relative;
    if (!PyArg_ParseTuple(args, "O!I", &PyTuple_Type, &tables, &relative))
        return NULL;
    struct lb_reference_list list = {0};
    PyObject *result = NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(tables); i++) {
        unsigned long long offset, size;
        int has_addend;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tables, i), "KKp", &offset, &size, &has_addend))
            goto done;
        struct lb_relocation_table table = {offset, size, has_addend};
        if (lb_references_add(&list, &self->symbols.view, &table, relative) < 0) {
            if (errno == ENOMEM)
                PyErr_NoMemory();
            else if (errno == E2BIG)
                PyErr_SetString(PyExc_ValueError, "more than 64 relocation types");
            else
                PyErr_SetString(PyExc_ValueError, "a relocation table or a symbol index in it lies outside the file");
            goto done;
        }
    }
    result = references_to_python(&list);
done:
    lb_references_release(&list);
    return result;
}

static PyMethodDef methods[] = {
    {"bind", table_bind, METH_VARARGS, bind_doc},
    {"find", table_find, METH_VARARGS, find_doc},
    {"references", table_references, METH_VARARGS, references_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)table_new},
    {Py_tp_dealloc, (void *)table_free},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)table_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.SymbolTable",
    .basicsize = sizeof(SymbolTable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lb_add_match(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}
