/* The frame of one call: arguments on their way into words, and results on their way out of them (py_function.h).
 *
 * Every error names library, function and parameter, and is raised before anything is called. */
#include "py_function.h"

#include <string.h>

/* errors -------------------------------------------------------------------------------------------------------------- */

/* Put library, function and parameter before the message about the value: `index` counts from 0. */
static void place_error(const lb_function *self, uint32_t index)
{
    PyObject *type, *value, *trace, *parameter = NULL, *place = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *name = PyObject_GetAttrString(self->prototype, "name");
    if (index < self->signature.count) {
        PyObject *parameters = PyObject_GetAttrString(self->prototype, "parameters");
        parameter = parameters == NULL ? NULL : PySequence_GetItem(parameters, (Py_ssize_t)index);
        Py_XDECREF(parameters);
    } else {
        parameter = PyUnicode_FromString("...");
    }
    if (name != NULL && parameter != NULL)
        place = PyUnicode_FromFormat("%S: %S, parameter %u (%S)", self->library, name, (unsigned)index + 1, parameter);
    Py_XDECREF(name);
    Py_XDECREF(parameter);
    PyErr_Restore(type, value, trace);
    lb_error_at(place);
}

/* arguments ----------------------------------------------------------------------------------------------------------- */

static void spread(const struct lb_slot *slot, const uint8_t *bytes, uint64_t *words)
{
    for (uint32_t i = 0; i < slot->piece_count; i++)
        memcpy(words + slot->pieces[i].word, bytes + slot->pieces[i].offset, slot->pieces[i].size);
}

/* A record's bytes into their words, or into a copy that the callee may change. */
static int put_record(const struct lb_slot *slot, const uint8_t *bytes, struct lb_frame *frame)
{
    void *copy;
    if (!(slot->flags & LB_REFERENCE)) {
        spread(slot, bytes, frame->words);
        return 0;
    }
    PyObject *memory = lb_memory_new(slot->class, slot->size, &copy);
    if (memory == NULL)
        return -1;
    memcpy(copy, bytes, slot->size);
    frame->kept.objects[frame->kept.object_count++] = memory;
    frame->words[slot->word] = (uint64_t)(uintptr_t)copy;
    return 0;
}

static int record_to_words(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame)
{
    void *data;
    size_t size;
    bool is_readonly;
    uint64_t address;
    if (!lb_is_memory(value) || PyObject_IsInstance(value, slot->class) != 1) {
        if (PyErr_Occurred() || lb_converted(slot, value, self->convert, &address, &frame->kept) < 0)
            return -1;
        return put_record(slot, (const uint8_t *)(uintptr_t)address, frame);
    }
    if (lb_memory_data(value, &data, &size, &is_readonly) < 0)
        return -1;
    if (size != slot->size) { /* of a class that was derived and changed */
        PyErr_Format(PyExc_ValueError, "%S has %u bytes, not %zu", slot->type, (unsigned)slot->size, size);
        return -1;
    }
    return put_record(slot, data, frame);
}

/* Memory for an out-parameter: the frame's own for a number or pointer, a new record otherwise. */
static int prepare_out(const struct lb_slot *slot, struct lb_frame *frame, uint32_t *outs)
{
    if (slot->class == NULL) {
        uint64_t *place = frame->outs + (size_t)(*outs)++ * LB_VALUE_WORDS;
        memset(place, 0, LB_VALUE_WORDS * sizeof *place);
        frame->words[slot->word] = (uint64_t)(uintptr_t)place;
        return 0;
    }
    PyObject *record = PyObject_CallNoArgs(slot->class);
    void *data;
    size_t size;
    bool is_readonly;
    if (record == NULL)
        return -1;
    frame->kept.objects[frame->kept.object_count++] = record;
    if (lb_memory_data(record, &data, &size, &is_readonly) < 0)
        return -1;
    frame->words[slot->word] = (uint64_t)(uintptr_t)data;
    return 0;
}

int lb_put_slot(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame)
{
    uint64_t wide[LB_VALUE_WORDS];
    switch (slot->op) {
    case LB_TEXT:
    case LB_POINTER:
        return lb_pointer_to_word(slot, value, self->convert, &frame->words[slot->word], &frame->kept);
    case LB_RECORD:
        return record_to_words(self, slot, value, frame);
    case LB_INT128:
    case LB_UINT128:
    case LB_LONG_DOUBLE:
    case LB_COMPLEX_FLOAT:
    case LB_COMPLEX_DOUBLE:
    case LB_COMPLEX_LONG_DOUBLE:
        if (lb_scalar_to_words(slot->op, slot->type, value, wide) < 0)
            return -1;
        spread(slot, (const uint8_t *)wide, frame->words);
        return 0;
    default:
        return lb_scalar_to_words(slot->op, slot->type, value, &frame->words[slot->word]);
    }
}

int lb_put_argument(const lb_function *self, uint32_t index, PyObject *value, struct lb_frame *frame)
{
    const struct lb_slot *slot = &self->signature.parameters[index];
    if (lb_put_common(slot, value, frame->words))
        return 0;
    if (lb_put_slot(self, slot, value, frame) == 0)
        return 0;
    place_error(self, index);
    return -1;
}

/* An argument behind the "...": its type follows from the value, after C's default promotions (C17 6.5.2.2). */
static int put_variable(const lb_function *self, PyObject *value, struct lb_frame *frame)
{
    static const struct lb_slot text = {.op = LB_TEXT}, wide = {.op = LB_INT64}, natural = {.op = LB_UINT64};
    const bool is_real = PyFloat_Check(value);
    uint32_t place;
    if (is_real && frame->vectors < LB_CALL_VECTORS)
        place = LB_CALL_INTEGERS + 2 * frame->vectors++;
    else if (!is_real && frame->integers < LB_CALL_INTEGERS)
        place = frame->integers++;
    else
        place = LB_CALL_STACK + frame->stack_words++;
    if (is_real)
        return lb_scalar_to_words(LB_DOUBLE, Py_None, value, &frame->words[place]);
    if (PyLong_Check(value)) { /* one word holds every integer: an int sits in the low half of what a long fills */
        int overflow;
        (void)PyLong_AsLongLongAndOverflow(value, &overflow);
        return lb_scalar_to_words(overflow > 0 ? natural.op : wide.op, self->prototype, value, &frame->words[place]);
    }
    struct lb_slot slot = text;
    slot.type = Py_None;
    return lb_pointer_to_word(&slot, value, self->convert, &frame->words[place], &frame->kept);
}

/* Every argument into its words; -1 with an exception that names the parameter. */
int lb_put_arguments(const lb_function *self, PyObject *const *arguments, Py_ssize_t count, struct lb_frame *frame)
{
    uint32_t next = 0, outs = 0;
    for (uint32_t i = 0; i < self->signature.count; i++) {
        const struct lb_slot *slot = &self->signature.parameters[i];
        if (!(slot->flags & LB_OUT)) {
            if (lb_put_argument(self, i, arguments[next++], frame) < 0)
                return -1;
        } else if (prepare_out(slot, frame, &outs) < 0) {
            place_error(self, i);
            return -1;
        }
    }
    for (; next < (uint32_t)count; next++) {
        if (put_variable(self, arguments[next], frame) < 0) {
            place_error(self, self->signature.count + next - self->given);
            return -1;
        }
    }
    return 0;
}

/* results ------------------------------------------------------------------------------------------------------------ */

PyObject *lb_gather(const struct lb_slot *slot, const struct lb_results *results, PyObject *memory)
{
    uint64_t wide[LB_VALUE_WORDS];
    void *bytes = wide;
    size_t size;
    bool is_readonly;
    const uint64_t *words = results->words;
    if (memory == NULL && slot->size <= 8) /* nearly every result */
        return lb_gather_plain(slot, results);
    if (memory != NULL && lb_memory_data(memory, &bytes, &size, &is_readonly) < 0)
        return NULL;
    for (uint32_t i = 0; i < slot->piece_count; i++)
        memcpy((uint8_t *)bytes + slot->pieces[i].offset, words + slot->pieces[i].word, slot->pieces[i].size);
    return memory != NULL ? Py_NewRef(memory) : lb_value_load(slot->op, bytes, NULL);
}

/* The memory of an object that may be none. */
static const void *data_of(PyObject *object)
{
    void *data = NULL;
    size_t size;
    bool is_readonly;
    if (lb_is_memory(object) && lb_memory_data(object, &data, &size, &is_readonly) < 0)
        return NULL;
    return data;
}

/* The result, and behind it what out-parameters hold now. */
PyObject *lb_with_outs(const lb_function *self, PyObject *result, struct lb_frame *frame)
{
    const bool is_void = self->signature.result.op == LB_VOID;
    Py_ssize_t next = is_void ? 0 : 1;
    uint32_t scalars = 0;
    Py_ssize_t records = 0;
    PyObject *all = self->outs == 1 && is_void ? NULL : PyTuple_New(next + (Py_ssize_t)self->outs);
    if (result == NULL || (all == NULL && !(self->outs == 1 && is_void))) {
        Py_XDECREF(result);
        Py_XDECREF(all);
        return NULL;
    }
    if (is_void)
        Py_DECREF(result);
    else
        PyTuple_SetItem(all, 0, result);
    for (uint32_t i = 0; i < self->signature.count; i++) {
        const struct lb_slot *slot = &self->signature.parameters[i];
        PyObject *value;
        if (!(slot->flags & LB_OUT))
            continue;
        if (slot->class == NULL) {
            value = lb_value_load(slot->element, frame->outs + (size_t)scalars++ * LB_VALUE_WORDS, NULL);
        } else {
            while ((uint64_t)(uintptr_t)data_of(frame->kept.objects[records]) != frame->words[slot->word])
                records++;
            value = Py_NewRef(frame->kept.objects[records++]);
        }
        if (value == NULL || all == NULL) {
            Py_XDECREF(all);
            return value;
        }
        PyTuple_SetItem(all, next++, value);
    }
    return all;
}
