/* See py_kind.h. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "py_kind.h"
#include "py_marshal.h"

#define DEEPEST 32

struct span {
    uint64_t address, count;
};

/* the kinds ----------------------------------------------------------------------------------------------------------- */

static PyObject *some(PyObject *object)
{
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* Whether the parts lie within the image. */
static bool fits(const struct lb_kind *kind)
{
    const bool has_span = kind->how == LB_KIND_TEXT || kind->how == LB_KIND_BYTES || kind->how == LB_KIND_LIST;
    for (uint32_t i = 0; i < kind->count && kind->how != LB_KIND_LIST; i++)
        if ((uint64_t)kind->parts[i].place + kind->parts[i].size > kind->size)
            return false;
    return kind->size >= (has_span ? sizeof(struct span) : kind->how == LB_KIND_ENUMERATION ? 4 : 1) &&
           (kind->how != LB_KIND_NUMBER || (kind->op != LB_VOID && kind->size == lb_op_size(kind->op))) &&
           ((kind->how != LB_KIND_LIST && kind->how != LB_KIND_OPTIONAL) || kind->count == 1) &&
           (kind->how != LB_KIND_RECORD || kind->class != NULL) &&
           (kind->how != LB_KIND_ENUMERATION || (kind->numbers != NULL && kind->members != NULL));
}

int lb_kind_read(struct lb_kind *kind, PyObject *description, int depth)
{
    int code;
    PyObject *name, *class, *numbers, *members, *parts;
    if (!PyArg_ParseTuple(description, "bCIIOOOOO!", &kind->how, &code, &kind->size, &kind->place, &name, &class, &numbers,
                          &members, &PyTuple_Type, &parts))
        return -1;
    const Py_ssize_t count = PyTuple_Size(parts);
    kind->op = lb_op_of((char)code);
    kind->name = some(name);
    kind->class = some(class);
    kind->numbers = some(numbers);
    kind->members = some(members);
    if ((kind->parts = PyMem_Calloc((size_t)count + 1, sizeof *kind->parts)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count && depth < DEEPEST; i++) {
        kind->count++;
        if (lb_kind_read(&kind->parts[i], PyTuple_GetItem(parts, i), depth + 1) < 0)
            return -1;
    }
    if (depth < DEEPEST && kind->how < LB_KIND_COUNT && fits(kind))
        return 0;
    PyErr_SetString(PyExc_ValueError, "a broken description of a kind");
    return -1;
}

int lb_kind_visit(const struct lb_kind *kind, visitproc visit, void *arg)
{
    int result = 0;
    Py_VISIT(kind->class);
    Py_VISIT(kind->numbers);
    Py_VISIT(kind->members);
    for (uint32_t i = 0; i < kind->count && result == 0; i++)
        result = lb_kind_visit(&kind->parts[i], visit, arg);
    return result;
}

void lb_kind_free(struct lb_kind *kind)
{
    for (uint32_t i = 0; i < kind->count; i++)
        lb_kind_free(&kind->parts[i]);
    PyMem_Free(kind->parts);
    kind->parts = NULL;
    kind->count = 0;
    Py_CLEAR(kind->name);
    Py_CLEAR(kind->class);
    Py_CLEAR(kind->numbers);
    Py_CLEAR(kind->members);
}

/* to memory ----------------------------------------------------------------------------------------------------------- */

static bool put_span(uint8_t *image, const void *address, uint64_t count)
{
    const struct span span = {(uint64_t)(uintptr_t)address, count};
    memcpy(image, &span, sizeof span);
    return true;
}

/* A copy, with a zero byte behind it: Python's own memory may go while the call lasts. */
static bool pack_bytes(const char *data, Py_ssize_t size, uint8_t *image, lb_context *arena)
{
    char *copy = data == NULL ? NULL : lb_alloc(arena, (size_t)size + 1);
    if (copy == NULL) {
        PyErr_Clear();
        return false;
    }
    memcpy(copy, data, (size_t)size);
    copy[size] = '\0';
    return put_span(image, copy, (uint64_t)size);
}

static bool pack_text(PyObject *value, uint8_t *image, lb_context *arena)
{
    Py_ssize_t size = 0;
    const char *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
    return pack_bytes(text, size, image, arena);
}

static bool pack_list(const struct lb_kind *kind, PyObject *value, uint8_t *image, lb_context *arena)
{
    const struct lb_kind *element = kind->parts;
    const bool is_list = PyList_CheckExact(value);
    if (!is_list && !PyTuple_CheckExact(value))
        return false;
    const Py_ssize_t count = is_list ? PyList_Size(value) : PyTuple_Size(value);
    uint8_t *memory = lb_alloc_array(arena, (size_t)count, element->size);
    if (memory == NULL)
        return false;
    memset(memory, 0, (size_t)count * element->size);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = is_list ? PyList_GetItem(value, i) : PyTuple_GetItem(value, i);
        if (item == NULL) { /* a field's property may have shortened the list */
            PyErr_Clear();
            return false;
        }
        Py_INCREF(item);
        const bool is_packed = lb_kind_pack(element, item, memory + (size_t)i * element->size, arena);
        Py_DECREF(item);
        if (!is_packed)
            return false;
    }
    return put_span(image, memory, (uint64_t)count);
}

static bool pack_member(const struct lb_kind *kind, PyObject *value, uint8_t *image)
{
    if ((PyObject *)Py_TYPE(value) != kind->class)
        return false;
    PyObject *number = PyDict_GetItemWithError(kind->numbers, value);
    uint64_t word;
    if (number == NULL || lb_scalar_to_words(LB_INT32, Py_None, number, &word) < 0) {
        PyErr_Clear();
        return false;
    }
    memcpy(image, &word, 4);
    return true;
}

static bool pack_record(const struct lb_kind *kind, PyObject *value, uint8_t *image, lb_context *arena)
{
    if ((PyObject *)Py_TYPE(value) != kind->class)
        return false;
    for (uint32_t i = 0; i < kind->count; i++) {
        const struct lb_kind *field = &kind->parts[i];
        PyObject *item = PyObject_GetAttr(value, field->name);
        const bool is_packed = item != NULL && lb_kind_pack(field, item, image + field->place, arena);
        Py_XDECREF(item);
        if (!is_packed) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

bool lb_kind_pack(const struct lb_kind *kind, PyObject *value, uint8_t *image, lb_context *arena)
{
    uint64_t word;
    switch (kind->how) {
    case LB_KIND_NUMBER:
        if (!lb_number_to_word(kind->op, value, &word))
            return false;
        memcpy(image, &word, kind->size);
        return true;
    case LB_KIND_TEXT:
        return pack_text(value, image, arena);
    case LB_KIND_BYTES:
        return PyBytes_CheckExact(value) && pack_bytes(PyBytes_AsString(value), PyBytes_Size(value), image, arena);
    case LB_KIND_LIST:
        return pack_list(kind, value, image, arena);
    case LB_KIND_OPTIONAL:
        image[0] = value != Py_None;
        return value == Py_None || lb_kind_pack(kind->parts, value, image + kind->parts->place, arena);
    case LB_KIND_ENUMERATION:
        return pack_member(kind, value, image);
    default:
        return pack_record(kind, value, image, arena);
    }
}

/* from memory --------------------------------------------------------------------------------------------------------- */

static PyObject *unpack_list(const struct lb_kind *element, const uint8_t *bytes, uint64_t count,
                             const lb_context *context, const struct lb_spans *spans)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = lb_kind_unpack(element, bytes + i * element->size, context, spans);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *unpack_span(const struct lb_kind *kind, const uint8_t *image, const lb_context *context,
                             const struct lb_spans *spans)
{
    struct span span;
    void *copy = NULL;
    const uint64_t size = kind->how == LB_KIND_LIST ? kind->parts->size : 1;
    memcpy(&span, image, sizeof span);
    if (span.count > (uint64_t)PY_SSIZE_T_MAX / size || (span.count != 0 && span.address == 0))
        return NULL;
    const void *bytes = span.count == 0 ? "" : lb_readable(span.address, span.count * size, context, spans, &copy);
    PyObject *value = bytes == NULL                  ? NULL
                      : kind->how == LB_KIND_TEXT  ? PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)span.count, NULL)
                      : kind->how == LB_KIND_BYTES ? PyBytes_FromStringAndSize(bytes, (Py_ssize_t)span.count)
                                                   : unpack_list(kind->parts, bytes, span.count, context, spans);
    free(copy);
    return value;
}

static PyObject *unpack_member(const struct lb_kind *kind, const uint8_t *image)
{
    PyObject *number = lb_value_load(LB_INT32, image, NULL);
    PyObject *member = number == NULL ? NULL : PyDict_GetItemWithError(kind->members, number);
    Py_XDECREF(number);
    return member == NULL ? NULL : Py_NewRef(member);
}

static PyObject *unpack_record(const struct lb_kind *kind, const uint8_t *image, const lb_context *context,
                               const struct lb_spans *spans)
{
    PyObject *fields = PyDict_New(), *none = PyTuple_New(0), *value = NULL;
    uint32_t done = 0;
    while (fields != NULL && done < kind->count) {
        const struct lb_kind *field = &kind->parts[done];
        PyObject *item = lb_kind_unpack(field, image + field->place, context, spans);
        const int result = item == NULL ? -1 : PyDict_SetItem(fields, field->name, item);
        Py_XDECREF(item);
        if (result < 0)
            break;
        done++;
    }
    if (fields != NULL && none != NULL && done == kind->count)
        value = PyObject_Call(kind->class, none, fields);
    Py_XDECREF(fields);
    Py_XDECREF(none);
    return value;
}

PyObject *lb_kind_unpack(const struct lb_kind *kind, const uint8_t *image, const lb_context *context,
                         const struct lb_spans *spans)
{
    switch (kind->how) {
    case LB_KIND_NUMBER:
        return kind->op == LB_BOOL && *image > 1 ? NULL : lb_value_load(kind->op, image, NULL);
    case LB_KIND_TEXT:
    case LB_KIND_BYTES:
    case LB_KIND_LIST:
        return unpack_span(kind, image, context, spans);
    case LB_KIND_OPTIONAL:
        if (*image == 0)
            Py_RETURN_NONE;
        return *image > 1 ? NULL : lb_kind_unpack(kind->parts, image + kind->parts->place, context, spans);
    case LB_KIND_ENUMERATION:
        return unpack_member(kind, image);
    default:
        return unpack_record(kind, image, context, spans);
    }
}
