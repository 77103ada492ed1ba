/* The Python face of layout.c. */
#include "layout.h"
#include "py_layout.h"
#include "py_match.h"

#include <stdlib.h>

static PyObject *offset_or_none(uint64_t offset)
{
    return PyLong_FromLongLong(offset == LB_ABSENT ? -1 : (long long)offset);
}

static PyObject *tables_of(const struct lb_tables *t)
{
    return Py_BuildValue("(NNKNNNNKNK)", offset_or_none(t->symtab), offset_or_none(t->strtab),
                         (unsigned long long)t->strtab_size, offset_or_none(t->gnu_hash), offset_or_none(t->sysv_hash),
                         offset_or_none(t->versym), offset_or_none(t->verdef), (unsigned long long)t->verdef_count,
                         offset_or_none(t->verneed), (unsigned long long)t->verneed_count);
}

static PyObject *relocations_of(const struct lb_layout *l)
{
    PyObject *tuple = PyTuple_New(l->relocation_count);
    for (uint32_t i = 0; tuple && i < l->relocation_count; i++) {
        const struct lb_relocation_table *t = &l->relocations[i];
        PyObject *row = Py_BuildValue("(KKO)", (unsigned long long)t->offset, (unsigned long long)t->size,
                                      t->has_addend ? Py_True : Py_False);
        if (!row)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, (Py_ssize_t)i, row);
    }
    return tuple;
}

PyObject *lb_layout_to_python(const struct lb_layout *l)
{
    const char *segments = (const char *)l->segments;
    return Py_BuildValue("(NNy#y#y#i)", tables_of(&l->tables), relocations_of(l), (const char *)&l->record,
                         (Py_ssize_t)sizeof l->record, segments, (Py_ssize_t)(l->segment_count * sizeof *l->segments),
                         (const char *)l->build_id, (Py_ssize_t)l->build_id_size,
                         l->has_stack ? (int)(l->stack_flags & 7) : -1);
}

static PyObject *layout(PyObject *module, PyObject *args)
{
    Py_buffer buffer;
    int is64, little;
    unsigned largest_page;
    const uint16_t one = 1;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ppI:layout", &buffer, &is64, &little, &largest_page))
        return NULL;
    if (largest_page == 0) {
        PyBuffer_Release(&buffer);
        return PyErr_Format(PyExc_ValueError, "a page has bytes");
    }
    struct lb_view view = {buffer.buf, (uint64_t)buffer.len, is64, little != *(const uint8_t *)&one};
    struct lb_layout *found = malloc(sizeof *found);
    PyObject *result = NULL;
    if (!found)
        PyErr_NoMemory();
    else if (lb_layout_read(&view, largest_page, found))
        result = lb_layout_to_python(found);
    else
        result = Py_NewRef(Py_None);
    free(found);
    PyBuffer_Release(&buffer);
    return result;
}

static PyMethodDef functions[] = {
    {"layout", layout, METH_VARARGS,
     "layout(data, is64, little, largest_page, /)\n--\n\n"
     "Where the tables of a plain shared object, for a machine with pages up to that size, are, or None where it is not plain: a tuple of what SymbolTable takes as\n"
     "tables; what its bind takes as tables; the packed plan's record of it (struct lb_plan_object: mapping and tables,\n"
     "the rest zero); the records of its segments; its build-id (b'' if none); the flags of PT_GNU_STACK, -1 if none."},
    {NULL, NULL, 0, NULL},
};

int lb_add_layout(PyObject *module) { return PyModule_AddFunctions(module, functions); }
