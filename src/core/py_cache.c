/* `_core.folder_row`: folders.c for Python.
 *
 * `_core.cache_rows`: the entries of ld.so.cache for one name.  Reading all of them into Python objects takes longer than
 * the search for everything that a library needs; latebind/search/cache.py has the format, and does that for many names.
 * The file is the system's, but it may be damaged: every offset is checked. */
#include "folders.h"
#include "module.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ENTRY_SIZE 24u /* flags, key, value, osversion: 4 bytes each; hwcap: 8 */
#define KEY_AT 4u

static bool is_key(const Py_buffer *data, uint64_t at, const Py_buffer *text)
{
    const uint64_t size = (uint64_t)data->len, length = (uint64_t)text->len;
    return at <= size && length <= size - at && memcmp((const char *)data->buf + at, text->buf, length) == 0;
}

static PyObject *rows_of(const Py_buffer *data, uint64_t start, uint64_t count, uint64_t base, const Py_buffer *text)
{
    PyObject *found = PyList_New(0);
    if ((uint64_t)data->len < start || count > ((uint64_t)data->len - start) / ENTRY_SIZE) {
        Py_XDECREF(found);
        return PyErr_SetString(PyExc_ValueError, "the table lies outside the file"), NULL;
    }
    for (uint64_t i = 0; found != NULL && i < count; i++) {
        uint32_t key; /* in this machine's byte order, as ldconfig writes it */
        memcpy(&key, (const char *)data->buf + start + i * ENTRY_SIZE + KEY_AT, sizeof key);
        if (!is_key(data, base + key, text))
            continue;
        PyObject *number = PyLong_FromUnsignedLongLong(i);
        if (number == NULL || PyList_Append(found, number) < 0)
            Py_CLEAR(found);
        Py_XDECREF(number);
    }
    return found;
}

static PyObject *cache_rows(PyObject *module, PyObject *args)
{
    Py_buffer data, text;
    unsigned long long start, count, base;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*KKKy*:cache_rows", &data, &start, &count, &base, &text))
        return NULL;
    PyObject *result = start > PY_SSIZE_T_MAX || base > PY_SSIZE_T_MAX
                           ? (PyErr_SetString(PyExc_ValueError, "the table lies outside the file"), NULL)
                           : rows_of(&data, start, count, base, &text);
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
    {"cache_rows", cache_rows, METH_VARARGS,
     "cache_rows(data, start, count, base, text, /)\n--\n\n"
     "The numbers of the entries with the key `text` (which ends with a NUL) in the new format of ld.so.cache: `count`\n"
     "of them begin at `start`, and keys are offsets from `base`.  Raises ValueError where they lie outside `data`."},
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
