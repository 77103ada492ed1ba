/* The Python face of match.c and references.c: `_core.SymbolTable`, one object's symbols ready to be searched. */
#include "py_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    Py_buffer buffer;
    struct lb_symbols symbols;
} SymbolTable;

PyObject *lb_text_to_python(struct lb_text text)
{
    return PyUnicode_DecodeUTF8(text.start, text.length, "surrogateescape");
}

static PyTypeObject *table_type; /* owned; the module is loaded once in a process */

bool lb_is_table(PyObject *object) { return Py_TYPE(object) == table_type; }

const struct lb_symbols *lb_symbols_of(PyObject *table) { return &((SymbolTable *)table)->symbols; }

bool lb_take_text(PyObject *value, struct lb_text *text, PyObject **owner)
{
    Py_ssize_t length;
    const char *start = PyUnicode_AsUTF8AndSize(value, &length); /* raises TypeError where it is no str */
    if (start == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        *owner = PyUnicode_AsEncodedString(value, "utf-8", "surrogateescape");
        char *bytes = NULL;
        if (*owner == NULL || PyBytes_AsStringAndSize(*owner, &bytes, &length) < 0)
            return false;
        start = bytes;
    }
    if (start == NULL)
        return false;
    *text = (struct lb_text){start, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length};
    return true;
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

static int add_tables(struct lb_reference_list *list, const struct lb_view *view, PyObject *tables, uint32_t relative)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(tables); i++) {
        unsigned long long offset, size;
        int has_addend;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tables, i), "KKp", &offset, &size, &has_addend))
            return -1;
        struct lb_relocation_table table = {offset, size, has_addend};
        if (lb_references_add(list, view, &table, relative) == 0)
            continue;
        if (errno == ENOMEM)
            PyErr_NoMemory();
        else if (errno == E2BIG)
            PyErr_SetString(PyExc_ValueError, "more than 64 relocation types");
        else
            PyErr_SetString(PyExc_ValueError, "a relocation table or a symbol index in it lies outside the file");
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(find_doc,
    "find(name, version=None)\n--\n\n"
    "Look `name` up in this object as dlsym does (version None) or dlvsym. Returns None or\n"
    "(how, 0, symbol index, value, size, info, section).");

static PyObject *table_find(PyObject *object, PyObject *args)
{
    SymbolTable *self = (SymbolTable *)object;
    PyObject *name, *version = Py_None, *owners[2] = {NULL, NULL}, *result = NULL;
    struct lb_text text;
    struct lb_version wanted = {.hidden = true, .file = {"", 0}};
    if (!PyArg_ParseTuple(args, "O|O", &name, &version))
        return NULL;
    const bool has_version = version != Py_None;
    if (lb_take_text(name, &text, &owners[0]) && (!has_version || lb_take_text(version, &wanted.name, &owners[1]))) {
        if (has_version)
            wanted.hash = lb_sysv_hash(wanted.name);
        struct lb_match match = lb_find(&self->symbols, text, has_version ? &wanted : NULL);
        result = match.scope == UINT32_MAX ? Py_NewRef(Py_None) : match_fields(&self->symbols, match);
    }
    Py_XDECREF(owners[0]);
    Py_XDECREF(owners[1]);
    return result;
}

PyDoc_STRVAR(needs_doc,
    "needs_version(name)\n--\n\nWhether the object needs a version `name` of any other (DT_VERNEED).");

static PyObject *table_needs_version(PyObject *object, PyObject *name)
{
    const struct lb_symbols *s = &((SymbolTable *)object)->symbols;
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (!text)
        return NULL;
    for (uint32_t i = 0; i < s->version_count; i++)
        if (s->versions[i].file.length && s->versions[i].name.length == (uint64_t)length &&
            memcmp(s->versions[i].name.start, text, (size_t)length) == 0)
            Py_RETURN_TRUE;
    Py_RETURN_FALSE;
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
    if (add_tables(&list, &self->symbols.view, tables, relative) == 0)
        result = references_to_python(&list);
    lb_references_release(&list);
    return result;
}

static PyMethodDef methods[] = {
    {"bind", lb_table_bind, METH_VARARGS, lb_bind_doc},
    {"find", table_find, METH_VARARGS, find_doc},
    {"needs_version", table_needs_version, METH_O, needs_doc},
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
    table_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return table_type == NULL ? -1 : PyModule_AddType(module, table_type);
}
