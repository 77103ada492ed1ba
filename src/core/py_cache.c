/* `_core.folder_row`: folders.c for Python.
 *
 * `_core.cache_path`: the entry of ld.so.cache for one name.  Reading all of them into Python objects takes longer than
 * the search for everything that a library needs; latebind/search/cache.py has the format, and does that for many names.
 * The file is the system's, but it may be damaged: every offset is checked. */
#include "folders.h"
#include "module.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_SIZE 24u
#define HWCAP_EXTENSION (UINT64_C(1) << 62) /* the low half of hwcap numbers a glibc-hwcaps subdirectory */
#define ISA_LEVEL_MASK (UINT64_C(0x3ff) << 32)

static bool is_key(const Py_buffer *data, uint64_t at, const Py_buffer *text)
{
    const uint64_t size = (uint64_t)data->len, length = (uint64_t)text->len;
    const char *key = (const char *)data->buf;
    if (at > size || length > size - at)
        return false;
    key += at;
    if (length >= 8) { /* most keys differ in their first bytes: quicker than a call */
        uint64_t first, wanted;
        memcpy(&first, key, 8);
        memcpy(&wanted, text->buf, 8);
        if (first != wanted)
            return false;
    }
    return memcmp(key, text->buf, length) == 0;
}

struct table { /* the entries of the new format, and what is looked for in them */
    const Py_buffer *data, *text;
    uint64_t start, count, base;
    uint32_t flags;
    uint32_t *ranks; /* by number of the glibc-hwcaps subdirectory: how good it is, 0 the best; LB_NO_RANK: it cannot be used */
    uint32_t rank_count, plain_rank;
};

#define LB_NO_RANK UINT32_MAX

struct entry { /* in this machine's byte order, as ldconfig writes it */
    uint32_t flags, key, value, osversion;
    uint64_t hwcap;
};

/* The rank of an entry; false where it names a subdirectory that the file does not have. */
static bool rank_of(const struct table *t, const struct entry *entry, uint32_t *rank)
{
    bool is_extension = (entry->hwcap & ~ISA_LEVEL_MASK & ~(uint64_t)UINT32_MAX) == HWCAP_EXTENSION;
    uint32_t number = (uint32_t)entry->hwcap;
    *rank = !is_extension ? t->plain_rank : number < t->rank_count ? t->ranks[number] : LB_NO_RANK;
    return !is_extension || number < t->rank_count;
}

static const char *string_at(const Py_buffer *data, uint64_t at)
{
    const uint64_t size = (uint64_t)data->len;
    const char *start = data->buf;
    return at < size && memchr(start + at, 0, size - at) != NULL ? start + at : NULL;
}

/* The path of the best entry; NULL where there is none, or one for the name is broken. */
static const char *best_path(const struct table *t)
{
    const char *best = NULL;
    uint32_t best_rank = LB_NO_RANK, rank;
    for (uint64_t i = 0; i < t->count; i++) {
        struct entry entry;
        memcpy(&entry, (const char *)t->data->buf + t->start + i * ENTRY_SIZE, sizeof entry);
        if (!is_key(t->data, t->base + entry.key, t->text))
            continue;
        if (!rank_of(t, &entry, &rank))
            return NULL;
        const char *path = entry.flags == t->flags && rank < best_rank ? string_at(t->data, t->base + entry.value) : NULL;
        if (path == NULL)
            continue;
        best = path;
        best_rank = rank;
    }
    return best;
}

static int take_ranks(struct table *t, PyObject *ranks)
{
    Py_ssize_t count = PyTuple_Size(ranks);
    t->ranks = calloc((size_t)count + 1, sizeof *t->ranks);
    if (t->ranks == NULL)
        return PyErr_NoMemory(), -1;
    t->rank_count = (uint32_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *rank = PyTuple_GetItem(ranks, i);
        unsigned long number = rank == Py_None ? LB_NO_RANK : PyLong_AsUnsignedLong(rank);
        if (number == (unsigned long)-1 && PyErr_Occurred())
            return -1;
        t->ranks[i] = (uint32_t)number;
    }
    return 0;
}

static PyObject *path_in(struct table *t, PyObject *ranks)
{
    const uint64_t size = (uint64_t)t->data->len;
    if (size < t->start || t->count > (size - t->start) / ENTRY_SIZE || t->base > size)
        return PyErr_SetString(PyExc_ValueError, "the table lies outside the file"), NULL;
    const char *path = take_ranks(t, ranks) < 0 ? NULL : best_path(t);
    free(t->ranks);
    if (PyErr_Occurred())
        return NULL;
    return path == NULL ? Py_NewRef(Py_None) : PyUnicode_DecodeUTF8(path, (Py_ssize_t)strlen(path), "surrogateescape");
}

static PyObject *cache_path(PyObject *module, PyObject *args)
{
    Py_buffer data, text;
    unsigned long long start, count, base;
    PyObject *ranks;
    struct table table = {.data = &data, .text = &text};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*(KKK)y*IO!I:cache_path", &data, &start, &count, &base, &text, &table.flags, &PyTuple_Type,
                          &ranks, &table.plain_rank))
        return NULL;
    table.start = start;
    table.count = count;
    table.base = base;
    PyObject *result = path_in(&table, ranks);
    PyBuffer_Release(&data);
    PyBuffer_Release(&text);
    return result;
}

static PyObject *folder_row(PyObject *module, PyObject *data)
{
    Py_buffer view;
    uint64_t start;
    (void)module;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    uint64_t size = lb_folder_row(view.buf, (uint64_t)view.len, &start);
    PyObject *result = PyBytes_FromStringAndSize((const char *)view.buf + start, (Py_ssize_t)size);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef functions[] = {
    {"cache_path", cache_path, METH_VARARGS,
     "cache_path(data, table, text, flags, ranks, plain_rank, /)\n--\n\n"
     "The path that the best entry with the key `text` (which ends with a NUL) in the new format of ld.so.cache has, or None.\n"
     "`table` is (where the entries begin, how many there are, what keys and values are offsets from). Entries with other\n"
     "flags do not count. `ranks` has, for each glibc-hwcaps subdirectory that entries may name, how good it is, 0 the best,\n"
     "or None: it cannot be used; `plain_rank` is that of an entry that names none. None, too, where an entry for the key\n"
     "names a subdirectory that `ranks` does not have. Raises ValueError where the table lies outside `data`."},
    {"folder_row", folder_row, METH_O,
     "folder_row(data, /)\n--\n\n"
     "The longest row of consecutive strings in `data` that all look like folders of libraries, with the NULs between them;\n"
     "b'' where no two stand side by side."},
    {NULL, NULL, 0, NULL},
};

int lb_add_cache(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
