/* `_core.Member`: a number in a record, whole or a bit-field; what a record's class has for each such field. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <string.h>

#include "py_memory.h"

#define MOST_BITS (64 + 7) /* of a packed bit-field that begins within a byte */

typedef struct {
    PyObject_HEAD
    PyObject *type;
    size_t offset;
    uint8_t op, shift, width; /* width 0: the whole value, else that many bits */
} Member;

static PyObject *member_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *ctype;
    Py_ssize_t offset;
    unsigned char op, shift, width;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "bnObb:Member", &op, &offset, &ctype, &shift, &width))
        return NULL;
    const bool is_bit_field = width != 0;
    if (offset < 0 || lb_op_size(op) == 0 || shift + width > MOST_BITS || width > 64 ||
        (is_bit_field && (op > LB_UINT64 || op == LB_VOID)))
        return PyErr_Format(PyExc_ValueError, "a broken description of a member");
    Member *self = (Member *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->op = op;
    self->offset = (size_t)offset;
    self->shift = shift;
    self->width = width;
    self->type = Py_NewRef(ctype);
    return (PyObject *)self;
}

static void member_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_CLEAR(((Member *)object)->type);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* The bytes that hold a bit-field, nine at most. */
static unsigned __int128 container(const Member *self, const lb_memory *memory, const uint8_t *data, size_t *bytes)
{
    unsigned __int128 word = 0;
    *bytes = ((size_t)self->shift + self->width + 7) / 8;
    if (*bytes > memory->size - self->offset)
        *bytes = memory->size - self->offset;
    memcpy(&word, data, *bytes);
    return word;
}

static bool is_signed(uint8_t op)
{
    return op == LB_INT8 || op == LB_INT16 || op == LB_INT32 || op == LB_INT64;
}

static PyObject *member_get(PyObject *object, PyObject *instance, PyObject *class)
{
    const Member *self = (const Member *)object;
    size_t bytes;
    (void)class;
    if (instance == NULL || instance == Py_None)
        return Py_NewRef(object);
    if (lb_memory_check(instance) < 0)
        return NULL;
    lb_memory *memory = (lb_memory *)instance;
    const uint8_t *data = lb_memory_within(memory, self->offset, self->width != 0 ? 1 : lb_op_size(self->op), false);
    if (data == NULL)
        return NULL;
    if (self->width == 0)
        return lb_value_load(self->op, data, NULL);
    uint64_t bits = (uint64_t)(container(self, memory, data, &bytes) >> self->shift) << (64 - self->width);
    if (is_signed(self->op))
        return PyLong_FromLongLong((int64_t)bits >> (64 - self->width));
    bits >>= 64 - self->width;
    return self->op == LB_BOOL ? PyBool_FromLong(bits != 0) : PyLong_FromUnsignedLongLong(bits);
}

static int set_bits(const Member *self, lb_memory *memory, uint8_t *data, PyObject *value)
{
    uint64_t word;
    size_t bytes;
    if (lb_scalar_to_words(self->op, self->type, value, &word) < 0)
        return -1;
    const unsigned __int128 mask = ((unsigned __int128)1 << self->width) - 1;
    const uint64_t high = is_signed(self->op) ? (uint64_t)((int64_t)word >> (self->width - 1))
                                              : word >> (self->width - 1) >> 1;
    if (high != 0 && !(is_signed(self->op) && high == UINT64_MAX)) {
        PyErr_Format(PyExc_OverflowError, "%R does not fit in %d bits", value, self->width);
        return -1;
    }
    unsigned __int128 whole = container(self, memory, data, &bytes);
    whole = (whole & ~(mask << self->shift)) | (word & mask) << self->shift;
    memcpy(data, &whole, bytes);
    return 0;
}

static int member_set(PyObject *object, PyObject *instance, PyObject *value)
{
    const Member *self = (const Member *)object;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "a field cannot be deleted");
        return -1;
    }
    if (lb_memory_check(instance) < 0)
        return -1;
    lb_memory *memory = (lb_memory *)instance;
    if (self->width == 0)
        return lb_memory_set(memory, self->op, self->type, self->offset, value);
    uint8_t *data = lb_memory_within(memory, self->offset, 1, true);
    return data == NULL ? -1 : set_bits(self, memory, data, value);
}

static PyMemberDef member_members[] = {
    {"type", T_OBJECT, offsetof(Member, type), READONLY, "The CType."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot member_slots[] = {
    {Py_tp_new, (void *)member_new},
    {Py_tp_dealloc, (void *)member_free},
    {Py_tp_descr_get, (void *)member_get},
    {Py_tp_descr_set, (void *)member_set},
    {Py_tp_members, member_members},
    {Py_tp_doc, "Member(op, offset, type, shift, width)\n--\n\nA number in a record; `width` bits of it, or 0 for all."},
    {0, NULL},
};

static PyType_Spec member_spec = {
    .name = "latebind._core.Member",
    .basicsize = sizeof(Member),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = member_slots,
};

int lb_add_member(PyObject *module)
{
    PyObject *member = PyType_FromModuleAndSpec(module, &member_spec, NULL);
    int result = member == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)member);
    Py_XDECREF(member);
    return result;
}
