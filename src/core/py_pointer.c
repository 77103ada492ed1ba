/* What can be passed as a pointer: NULL, an address, text, any buffer's own memory, a record, a function.
 *
 * Memory of a buffer stays exported (it cannot be resized or freed) until the call is over.  What the core does not know,
 * such as a Python function for a function pointer, is left to the `convert` that latebind.ffi hands over. */
#include "py_value.h"

#include <string.h>

static int wrong(const struct lb_slot *slot, PyObject *value)
{
    PyObject *shown = lb_shown(value);
    if (shown != NULL && slot->op == LB_RECORD) {
        PyErr_Format(PyExc_TypeError, "expected a %S, not %U", slot->type, shown);
        Py_DECREF(shown);
    } else if (shown != NULL) {
        PyErr_Format(PyExc_TypeError, "expected %s, not %U",
                     slot->op == LB_TEXT ? "bytes, str, an address, None or a buffer" : "an address, None or a buffer",
                     shown);
        Py_DECREF(shown);
    }
    return -1;
}

static int may_write(const struct lb_slot *slot)
{
    PyErr_Format(PyExc_TypeError, "the function may write through %S; pass a writable buffer such as bytearray",
                 slot->type);
    return -1;
}

static int address_to_word(const struct lb_slot *slot, PyObject *value, uint64_t *word)
{
    *word = PyLong_AsUnsignedLongLong(value);
    if (*word == UINT64_MAX && PyErr_Occurred()) {
        PyErr_Clear();
        PyErr_Format(PyExc_OverflowError, "%S is not an address", value);
        return -1;
    }
    if (*word == 0 && slot->flags & LB_NONNULL) {
        PyErr_Format(PyExc_ValueError, "NULL is not allowed here");
        return -1;
    }
    return 0;
}

static int text_to_word(const struct lb_slot *slot, PyObject *value, uint64_t *word, struct lb_kept *kept)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == NULL) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "a lone surrogate in a str has no UTF-8 form");
        return -1;
    }
    if (memchr(text, 0, (size_t)size) != NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "a str with a NUL character would be cut off there; pass bytes if that is meant");
        return -1;
    }
    if (!(slot->flags & LB_CONST)) { /* a str never changes, so the function gets a copy to write to */
        PyObject *copy = PyBytes_FromStringAndSize(text, size);
        if (copy == NULL)
            return -1;
        kept->objects[kept->object_count++] = copy;
        text = PyBytes_AsString(copy);
    }
    *word = (uint64_t)(uintptr_t)text;
    return 0;
}

/* Why `value` gives no buffer as it was asked for. */
static int explain_buffer(const struct lb_slot *slot, PyObject *value)
{
    Py_buffer view;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) < 0) {
        PyErr_Clear();
        PyErr_Restore(type, error, trace);
        return -1;
    }
    const bool has_gaps = !PyBuffer_IsContiguous(&view, 'C'), is_readonly = view.readonly;
    PyBuffer_Release(&view);
    if (!has_gaps && !(is_readonly && !(slot->flags & LB_CONST))) {
        PyErr_Restore(type, error, trace);
        return -1;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    if (!has_gaps)
        return may_write(slot);
    PyErr_SetString(PyExc_ValueError, "the buffer is not contiguous");
    return -1;
}

/* Whether elements of the buffer can be what the pointer points to: raw bytes always, numbers of the same size and
 * family.  C compilers only warn about signedness, and so many interfaces mix it. */
static bool fits(uint8_t element, const Py_buffer *view)
{
    const char *format = view->format == NULL ? "B" : view->format;
    if (*format == '@' || *format == '=' || *format == '<')
        format++;
    if (format[0] == 0 || format[1] != 0 || strchr("Bbc", *format) != NULL)
        return view->len % (Py_ssize_t)lb_op_size(element) == 0;
    if (strchr("fdg", *format) != NULL)
        return element >= LB_FLOAT && element <= LB_LONG_DOUBLE && view->itemsize == (Py_ssize_t)lb_op_size(element);
    if (strchr("hHiIlLqQnN", *format) != NULL)
        return element <= LB_UINT64 && view->itemsize == (Py_ssize_t)lb_op_size(element);
    return true;
}

static int buffer_to_word(const struct lb_slot *slot, PyObject *value, uint64_t *word, struct lb_kept *kept)
{
    Py_buffer *view = &kept->buffers[kept->buffer_count];
    const bool is_typed = lb_op_size(slot->element) > 1 && slot->element < LB_TEXT;
    const int wanted = (slot->flags & LB_CONST ? PyBUF_SIMPLE : PyBUF_WRITABLE) | (is_typed ? PyBUF_FORMAT | PyBUF_ND : 0);
    if (PyObject_GetBuffer(value, view, wanted) < 0)
        return explain_buffer(slot, value);
    kept->buffer_count++;
    if (is_typed && !fits(slot->element, view)) {
        PyErr_Format(PyExc_TypeError, "a buffer of %zd bytes with items of format '%s' is nothing for %S", view->len,
                     view->format == NULL ? "B" : view->format, slot->type);
        return -1;
    }
    *word = (uint64_t)(uintptr_t)view->buf;
    return 0;
}

/* Records, whose class must be the one that is pointed to where both are known. */
static int memory_to_word(const struct lb_slot *slot, PyObject *value, uint64_t *word)
{
    void *data;
    size_t size;
    bool is_readonly;
    if (lb_memory_data(value, &data, &size, &is_readonly) < 0)
        return -1;
    if (is_readonly && !(slot->flags & LB_CONST))
        return may_write(slot);
    *word = (uint64_t)(uintptr_t)data;
    return 0;
}

/* What latebind.ffi.convert makes of it: (address, something to keep until the call is over). */
int lb_converted(const struct lb_slot *slot, PyObject *value, PyObject *convert, uint64_t *word, struct lb_kept *kept)
{
    unsigned long long address;
    PyObject *keep;
    if (convert == NULL)
        return wrong(slot, value);
    PyObject *answer = PyObject_CallFunctionObjArgs(convert, slot->type, value, NULL);
    if (answer == NULL)
        return -1;
    if (answer == Py_None) {
        Py_DECREF(answer);
        return wrong(slot, value);
    }
    if (!PyArg_ParseTuple(answer, "O&O", lb_as_uint64, &address, &keep)) {
        Py_DECREF(answer);
        return -1;
    }
    kept->objects[kept->object_count++] = answer;
    *word = address;
    return 0;
}

int lb_pointer_to_word(const struct lb_slot *slot, PyObject *value, PyObject *convert, uint64_t *word,
                       struct lb_kept *kept)
{
    if (PyBytes_CheckExact(value)) {
        /* Also for `char *`: many C interfaces write it and mean `const char *`. */
        if (slot->op == LB_TEXT || (slot->flags & LB_CONST && lb_op_size(slot->element) <= 1)) {
            *word = (uint64_t)(uintptr_t)PyBytes_AsString(value);
            return 0;
        }
        return buffer_to_word(slot, value, word, kept);
    }
    if (value == Py_None) {
        if (slot->flags & LB_NONNULL) {
            PyErr_SetString(PyExc_ValueError, "None (NULL) is not allowed here");
            return -1;
        }
        *word = 0;
        return 0;
    }
    if (slot->op == LB_TEXT && PyUnicode_Check(value))
        return text_to_word(slot, value, word, kept);
    if (PyLong_Check(value) && !PyBool_Check(value))
        return address_to_word(slot, value, word);
    if (lb_is_function(value))
        return lb_function_address(value, word);
    if (lb_is_memory(value) && (slot->class == NULL || PyObject_IsInstance(value, slot->class) == 1))
        return memory_to_word(slot, value, word);
    if (!lb_is_memory(value) && PyObject_CheckBuffer(value))
        return buffer_to_word(slot, value, word, kept);
    return lb_converted(slot, value, convert, word, kept);
}

void lb_kept_release(struct lb_kept *kept)
{
    while (kept->buffer_count > 0)
        PyBuffer_Release(&kept->buffers[--kept->buffer_count]);
    while (kept->object_count > 0)
        Py_DECREF(kept->objects[--kept->object_count]);
}
