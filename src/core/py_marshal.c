/* See py_marshal.h.  Whatever is not exactly what a contract's value usually is goes the other way, by Python: so these
 * functions need no words for mistakes, and what they take is a part of what Python takes. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "py_marshal.h"

uint8_t lb_op_of(char code)
{
    switch (code) {
    case '?': return LB_BOOL;
    case 'b': return LB_INT8;
    case 'B': return LB_UINT8;
    case 'h': return LB_INT16;
    case 'H': return LB_UINT16;
    case 'i': return LB_INT32;
    case 'I': return LB_UINT32;
    case 'q': return LB_INT64;
    case 'Q': return LB_UINT64;
    case 'f': return LB_FLOAT;
    case 'd': return LB_DOUBLE;
    default: return LB_VOID;
    }
}

static int read_kind(struct lb_kind **kind, PyObject *description)
{
    if (description == Py_None)
        return 0;
    if ((*kind = PyMem_Calloc(1, sizeof **kind)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return lb_kind_read(*kind, description, 0);
}

void lb_kind_clear(struct lb_kind **kind)
{
    if (*kind != NULL)
        lb_kind_free(*kind);
    PyMem_Free(*kind);
    *kind = NULL;
}

int lb_parameter_read(struct lb_parameter *parameter, PyObject *description)
{
    int code;
    PyObject *encode, *kind;
    if (!PyArg_ParseTuple(description, "bCIbOO", &parameter->how, &code, &parameter->size, &parameter->slot_count, &encode,
                          &kind))
        return -1;
    parameter->code = (char)code;
    parameter->op = lb_op_of(parameter->code);
    const bool is_span = parameter->how >= LB_PARAMETER_TEXT;
    if (parameter->how >= LB_PARAMETER_COUNT || (parameter->how != LB_PARAMETER_OTHER && parameter->slot_count != 1 + is_span) ||
        (parameter->how == LB_PARAMETER_LIST && parameter->size != lb_op_size(parameter->op))) {
        PyErr_SetString(PyExc_ValueError, "a broken description of a parameter");
        return -1;
    }
    parameter->encode = Py_NewRef(encode);
    return read_kind(&parameter->kind, kind);
}

int lb_answer_read(struct lb_answer *answer, PyObject *description)
{
    int code;
    PyObject *kind;
    if (!PyArg_ParseTuple(description, "bCIO", &answer->how, &code, &answer->size, &kind))
        return -1;
    answer->op = lb_op_of((char)code);
    if (answer->how >= LB_ANSWER_COUNT || (answer->how == LB_ANSWER_NUMBER && answer->op == LB_VOID) ||
        (answer->how == LB_ANSWER_LIST && answer->size != lb_op_size(answer->op))) {
        PyErr_SetString(PyExc_ValueError, "a broken description of an answer");
        return -1;
    }
    if (read_kind(&answer->kind, kind) < 0)
        return -1;
    if (answer->kind == NULL || answer->kind->size == (answer->how == LB_ANSWER_IMAGE ? answer->size : 4))
        return 0;
    PyErr_SetString(PyExc_ValueError, "a kind of another size than the answer");
    return -1;
}

/* arguments ----------------------------------------------------------------------------------------------------------- */

static bool put_span(const struct lb_slot *slot, const void *data, size_t count, size_t bytes, struct lb_frame *frame,
                     struct lb_spans *spans)
{
    static const char nothing[1] = "";
    frame->words[slot[0].word] = (uint64_t)(uintptr_t)(bytes != 0 ? data : nothing); /* never null */
    frame->words[slot[1].word] = count;
    if (bytes != 0 && spans->count < LB_SPANS) {
        spans->spans[spans->count].address = (uint64_t)(uintptr_t)data;
        spans->spans[spans->count++].size = bytes;
    }
    return true;
}

/* A buffer of one dimension with the numbers of `code` (of bytes: any contiguous one): values.py, _fits. */
static bool fits(const struct lb_parameter *parameter, const Py_buffer *view)
{
    const char *format = view->format != NULL ? view->format : "B";
    const char *same_size = strchr("lq", parameter->code) != NULL ? "lqn" : strchr("LQ", parameter->code) != NULL ? "LQN" : "";
    format += strspn(format, "@=<");
    if (view->ndim != 1 || view->itemsize != (Py_ssize_t)parameter->size || format[0] == '\0' || format[1] != '\0')
        return false;
    return format[0] == parameter->code || strchr(same_size, format[0]) != NULL;
}

static bool put_buffer(const struct lb_parameter *parameter, const struct lb_slot *slot, PyObject *value,
                       struct lb_frame *frame, struct lb_spans *spans)
{
    const bool is_list = parameter->how == LB_PARAMETER_LIST;
    Py_buffer *view = &frame->kept.buffers[frame->kept.buffer_count];
    if (PyObject_GetBuffer(value, view, is_list ? PyBUF_C_CONTIGUOUS | PyBUF_FORMAT : PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return false;
    }
    if (is_list && !fits(parameter, view)) {
        PyBuffer_Release(view);
        return false;
    }
    frame->kept.buffer_count++;
    const size_t bytes = (size_t)view->len;
    return put_span(slot, view->buf, is_list ? bytes / parameter->size : bytes, bytes, frame, spans);
}

/* A list's or a tuple's item, borrowed. */
static PyObject *item_of(PyObject *sequence, bool is_list, Py_ssize_t index)
{
    return is_list ? PyList_GetItem(sequence, index) : PyTuple_GetItem(sequence, index);
}

bool lb_number_to_word(uint8_t op, PyObject *value, uint64_t *word)
{
    if (op == LB_BOOL) {
        *word = value == Py_True;
        return value == Py_True || value == Py_False;
    }
    const bool is_real = op == LB_FLOAT || op == LB_DOUBLE;
    if (!(is_real && PyFloat_CheckExact(value)) && !PyLong_CheckExact(value))
        return false;
    if (lb_scalar_to_words(op, Py_None, value, word) == 0)
        return true;
    PyErr_Clear();
    return false;
}

static bool put_numbers(const struct lb_parameter *parameter, const struct lb_slot *slot, PyObject *value,
                        struct lb_frame *frame, struct lb_spans *spans)
{
    const bool is_list = PyList_CheckExact(value);
    const Py_ssize_t count = is_list ? PyList_Size(value) : PyTuple_Size(value);
    if (count == 0)
        return put_span(slot, NULL, 0, 0, frame, spans);
    if ((size_t)count > PY_SSIZE_T_MAX / parameter->size)
        return false;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)parameter->size);
    char *to = bytes == NULL ? NULL : PyBytes_AsString(bytes);
    for (Py_ssize_t i = 0; to != NULL && i < count; i++, to += parameter->size) {
        uint64_t word;
        PyObject *item = item_of(value, is_list, i); /* converting a plain number runs no code that could change the list */
        if (item == NULL || !lb_number_to_word(parameter->op, item, &word)) {
            Py_CLEAR(bytes);
            break;
        }
        memcpy(to, &word, parameter->size);
    }
    if (bytes == NULL) {
        PyErr_Clear();
        return false;
    }
    frame->kept.objects[frame->kept.object_count++] = bytes;
    return put_span(slot, PyBytes_AsString(bytes), (size_t)count, (size_t)count * parameter->size, frame, spans);
}

static bool put_text(const struct lb_slot *slot, PyObject *value, struct lb_frame *frame, struct lb_spans *spans)
{
    Py_ssize_t size;
    const char *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
    if (text == NULL) {
        PyErr_Clear();
        return false;
    }
    return put_span(slot, text, (size_t)size, (size_t)size, frame, spans);
}

/* Two words, one, or the address of an image. */
static bool put_compound(const struct lb_parameter *parameter, const struct lb_slot *slot, PyObject *value,
                         struct lb_frame *frame, lb_context *arena)
{
    const struct lb_kind *kind = parameter->kind;
    uint64_t words[2] = {0};
    if (kind == NULL)
        return false;
    if (kind->how == LB_KIND_ENUMERATION || kind->how == LB_KIND_LIST) {
        if (!lb_kind_pack(kind, value, (uint8_t *)words, arena))
            return false;
        frame->words[slot[0].word] = words[0]; /* of an int32_t the callee looks at the lower half only */
        if (parameter->slot_count == 2)
            frame->words[slot[1].word] = words[1];
        return true;
    }
    uint8_t *image = lb_alloc(arena, kind->size);
    if (image == NULL || !lb_kind_pack(kind, value, memset(image, 0, kind->size), arena))
        return false;
    frame->words[slot->word] = (uint64_t)(uintptr_t)image;
    return true;
}

/* Whether that was all. */
static bool put_plain(const struct lb_parameter *parameter, const struct lb_slot *slot, PyObject *value,
                      struct lb_frame *frame, struct lb_spans *spans)
{
    switch (parameter->how) {
    case LB_PARAMETER_INTEGER:
    case LB_PARAMETER_REAL:
    case LB_PARAMETER_BOOL:
        return lb_number_to_word(slot->op, value, &frame->words[slot->word]);
    case LB_PARAMETER_TEXT:
        return put_text(slot, value, frame, spans);
    case LB_PARAMETER_BYTES:
        if (PyBytes_CheckExact(value)) {
            const size_t size = (size_t)PyBytes_Size(value);
            return put_span(slot, PyBytes_AsString(value), size, size, frame, spans);
        }
        return put_buffer(parameter, slot, value, frame, spans);
    case LB_PARAMETER_LIST:
        if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
            return put_numbers(parameter, slot, value, frame, spans);
        return put_buffer(parameter, slot, value, frame, spans);
    default:
        return false;
    }
}

int lb_put_parameter(const lb_function *function, const struct lb_parameter *parameter, const struct lb_slot *slot,
                     PyObject *value, struct lb_frame *frame, struct lb_spans *spans, lb_context *arena)
{
    if (put_plain(parameter, slot, value, frame, spans) || put_compound(parameter, slot, value, frame, arena))
        return 0;
    PyObject *words = PyObject_CallFunctionObjArgs(parameter->encode, value, NULL);
    if (words == NULL)
        return -1;
    frame->kept.objects[frame->kept.object_count++] = words;
    if (!PyTuple_Check(words) || PyTuple_Size(words) != 1 + (Py_ssize_t)parameter->slot_count) {
        PyErr_SetString(PyExc_SystemError, "an encoder answered the wrong number of words");
        return -1;
    }
    for (uint32_t i = 0; i < parameter->slot_count; i++)
        if (lb_put_slot(function, &slot[i], PyTuple_GetItem(words, (Py_ssize_t)i + 1), frame) < 0)
            return -1;
    return 0;
}

/* answers ------------------------------------------------------------------------------------------------------------- */

/* Where `size` bytes of a plugin's can be read: there, or in a copy that the caller frees.  NULL: not there. */
const void *lb_readable(uint64_t address, uint64_t size, const lb_context *context, const struct lb_spans *spans,
                            void **copy)
{
    void *source = (void *)(uintptr_t)address;
    for (uint32_t i = 0; i < spans->count; i++)
        if (address >= spans->spans[i].address && address - spans->spans[i].address <= spans->spans[i].size &&
            size <= spans->spans[i].size - (address - spans->spans[i].address))
            return source;
    const enum lb_ownership ownership = lb_context_owns(context, source, size);
    if (ownership == LB_INSIDE)
        return source;
    *copy = ownership == LB_BEYOND ? NULL : malloc(size);
    return *copy != NULL && lb_context_copy(context, *copy, source, size) == LB_INSIDE ? *copy : NULL;
}

static PyObject *read_numbers(const struct lb_answer *answer, const uint8_t *bytes, uint64_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; list != NULL && i < count; i++, bytes += answer->size) {
        PyObject *item = answer->op == LB_BOOL && *bytes > 1 ? NULL : lb_value_load(answer->op, bytes, NULL);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *read_span(const struct lb_answer *answer, const uint64_t *place, const lb_context *context,
                           const struct lb_spans *spans)
{
    const uint64_t address = place[0], count = place[1], size = answer->how == LB_ANSWER_LIST ? answer->size : 1;
    void *copy = NULL;
    if (count > (uint64_t)PY_SSIZE_T_MAX / size || (count != 0 && address == 0))
        return NULL;
    const void *bytes = count == 0 ? "" : lb_readable(address, count * size, context, spans, &copy);
    PyObject *value = bytes == NULL                   ? NULL
                      : answer->how == LB_ANSWER_TEXT  ? PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)count, NULL)
                      : answer->how == LB_ANSWER_BYTES ? PyBytes_FromStringAndSize(bytes, (Py_ssize_t)count)
                                                       : read_numbers(answer, bytes, count);
    free(copy);
    return value;
}

PyObject *lb_read_answer(const struct lb_answer *answer, const void *place, const lb_context *context,
                         const struct lb_spans *spans)
{
    switch (answer->how) {
    case LB_ANSWER_NUMBER:
        if (answer->op == LB_BOOL && *(const uint8_t *)place > 1)
            return NULL;
        return lb_value_load(answer->op, place, NULL);
    case LB_ANSWER_TEXT:
    case LB_ANSWER_BYTES:
    case LB_ANSWER_LIST:
        return read_span(answer, place, context, spans);
    default:
        return answer->kind == NULL ? NULL : lb_kind_unpack(answer->kind, place, context, spans);
    }
}

static PyObject *names_of(const char *const *names, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++)
        PyTuple_SetItem(tuple, i, PyUnicode_FromString(names[i]));
    return tuple;
}

int lb_add_marshal(PyObject *module)
{
#define LB_NAME(name) #name,
    static const char *const parameters[] = {LB_PARAMETERS(LB_NAME)}, *const answers[] = {LB_ANSWERS(LB_NAME)},
                            *const kinds[] = {LB_KINDS(LB_NAME)};
#undef LB_NAME
    const struct {
        const char *name;
        const char *const *names;
        Py_ssize_t count;
    } all[] = {{"PARAMETERS", parameters, LB_PARAMETER_COUNT}, {"ANSWERS", answers, LB_ANSWER_COUNT}, {"KINDS", kinds, LB_KIND_COUNT}};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof all / sizeof *all; i++) {
        PyObject *names = names_of(all[i].names, all[i].count);
        result = names == NULL ? -1 : PyModule_AddObjectRef(module, all[i].name, names);
        Py_XDECREF(names);
    }
    return result;
}
