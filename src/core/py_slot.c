/* Slots and signatures: what Python says of the values of a prototype, read and checked once; see py_value.h. */
#include "py_value.h"

#include "call.h"

static int read_pieces(struct lb_slot *slot, PyObject *pieces, uint32_t word_end)
{
    Py_ssize_t count = PyTuple_Size(pieces);
    if (count < 0 || count > (Py_ssize_t)(sizeof slot->pieces / sizeof *slot->pieces))
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        struct lb_piece *piece = &slot->pieces[i];
        PyObject *item = PyTuple_GetItem(pieces, i);
        if (!PyArg_ParseTuple(item, "III", &piece->word, &piece->offset, &piece->size))
            return -1;
        const uint64_t end = (uint64_t)piece->word * 8 + piece->size;
        const uint32_t size = slot->flags & (LB_REFERENCE | LB_MEMORY) ? 8 : slot->size; /* of what travels */
        if (end > (uint64_t)word_end * 8 || (uint64_t)piece->offset + piece->size > size)
            return -1;
    }
    slot->piece_count = (uint8_t)count;
    slot->word = count > 0 ? slot->pieces[0].word : 0;
    return 0;
}

static int slot_read(struct lb_slot *slot, PyObject *description, uint32_t word_end)
{
    PyObject *pieces, *type, *class;
    *slot = (struct lb_slot){0};
    if (!PyArg_ParseTuple(description, "bbIO!bOO", &slot->op, &slot->flags, &slot->size, &PyTuple_Type, &pieces,
                          &slot->element, &type, &class))
        return -1;
    if (slot->op >= LB_OP_COUNT || slot->element >= LB_OP_COUNT || (slot->op == LB_RECORD && !PyType_Check(class)) ||
        (slot->op != LB_RECORD && slot->size != lb_op_size(slot->op)) || read_pieces(slot, pieces, word_end) < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a broken description of a value");
        return -1;
    }
    slot->type = Py_NewRef(type);
    slot->class = class == Py_None ? NULL : Py_NewRef(class);
    return 0;
}

static int result_read(struct lb_slot *slot, PyObject *description)
{
    PyObject *flags = PySequence_GetItem(description, 1);
    const long is_in_memory = flags == NULL ? -1 : PyLong_AsLong(flags) & LB_MEMORY;
    Py_XDECREF(flags);
    if (is_in_memory < 0 && PyErr_Occurred())
        return -1;
    if (slot_read(slot, description, is_in_memory ? LB_CALL_STACK : LB_RESULT_WORDS) < 0)
        return -1;
    for (uint32_t i = 0; i < slot->piece_count && !is_in_memory; i++)
        slot->x87_count += slot->pieces[i].word >= LB_RESULT_X87;
    return 0;
}

static void slot_clear(struct lb_slot *slot)
{
    Py_CLEAR(slot->type);
    Py_CLEAR(slot->class);
}

static int slot_visit(const struct lb_slot *slot, visitproc visit, void *arg)
{
    Py_VISIT(slot->type);
    Py_VISIT(slot->class);
    return 0;
}

int lb_signature_read(struct lb_signature *signature, PyObject *result, PyObject *parameters, uint32_t stack_words)
{
    const Py_ssize_t count = PyTuple_Size(parameters);
    if (count < 0 || count > LB_MOST_PARAMETERS) {
        PyErr_SetString(PyExc_ValueError, "too many parameters");
        return -1;
    }
    /* A result in memory names the word of its hidden argument, any other words of lb_results. */
    if (result_read(&signature->result, result) < 0)
        return -1;
    signature->parameters = PyMem_Calloc((size_t)count + 1, sizeof *signature->parameters);
    if (signature->parameters == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        signature->count++;
        if (slot_read(&signature->parameters[i], PyTuple_GetItem(parameters, i), LB_CALL_STACK + stack_words) < 0)
            return -1;
    }
    return 0;
}

int lb_signature_visit(const struct lb_signature *signature, visitproc visit, void *arg)
{
    int result = slot_visit(&signature->result, visit, arg);
    for (uint32_t i = 0; i < signature->count && result == 0; i++)
        result = slot_visit(&signature->parameters[i], visit, arg);
    return result;
}

void lb_signature_clear(struct lb_signature *signature)
{
    slot_clear(&signature->result);
    for (uint32_t i = 0; i < signature->count; i++)
        slot_clear(&signature->parameters[i]);
}

void lb_signature_free(struct lb_signature *signature)
{
    lb_signature_clear(signature);
    PyMem_Free(signature->parameters);
    *signature = (struct lb_signature){0};
}
