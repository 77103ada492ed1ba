/* `_core.Memory`: bytes that are a C object: a structure's, an array's, a number's for a pointer to point to.
 *
 * latebind.ffi makes a class for each record, with a Member (py_member.c) for each field.  The memory is the object's own, or a part of
 * another's, or at an address that somebody else answers for.  It can be read and written as a buffer, too. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "py_memory.h"

#define MOST_ALIGNMENT 4096

static PyTypeObject *memory_type; /* owned; the module is loaded once in a process */

bool lb_is_memory(PyObject *value)
{
    return PyObject_TypeCheck(value, memory_type);
}

int lb_memory_data(PyObject *value, void **data, size_t *size, bool *is_readonly)
{
    const lb_memory *self = (const lb_memory *)value;
    *data = self->data;
    *size = self->size;
    *is_readonly = self->is_readonly;
    return 0;
}

static lb_memory *make(PyObject *class)
{
    PyTypeObject *type = (PyTypeObject *)class;
    if (!PyType_Check(class) || !PyType_IsSubtype(type, memory_type)) {
        PyErr_Format(PyExc_TypeError, "not a class of memory: %R", class);
        return NULL;
    }
    return (lb_memory *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

/* Zeros on the heap.  No type is aligned more strictly than the largest power of two that divides its size. */
static void *aligned_zeros(size_t size)
{
    size_t align = size & -size;
    void *data = NULL;
    if (align <= 16)
        return calloc(1, size);
    if (posix_memalign(&data, align < MOST_ALIGNMENT ? align : MOST_ALIGNMENT, size) != 0)
        return NULL;
    return memset(data, 0, size);
}

PyObject *lb_memory_new(PyObject *class, size_t size, void **data)
{
    lb_memory *self = make(class);
    if (self == NULL)
        return NULL;
    self->data = size != 32 ? self->small : (void *)(((uintptr_t)self->small + 31) & ~(uintptr_t)31);
    if (size >= LB_INLINE_BYTES) {
        self->data = aligned_zeros(size);
        if (self->data == NULL) {
            Py_DECREF(self);
            return PyErr_NoMemory();
        }
        self->is_heap = true;
    }
    self->size = size;
    if (data != NULL)
        *data = self->data;
    return (PyObject *)self;
}

static PyObject *memory_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args; /* a class's __init__ reads them */
    (void)kwargs;
    PyObject *number = PyObject_GetAttrString((PyObject *)type, "_size_");
    if (number == NULL)
        return NULL;
    const size_t size = PyLong_AsSize_t(number);
    Py_DECREF(number);
    return PyErr_Occurred() ? NULL : lb_memory_new((PyObject *)type, size, NULL);
}

static int memory_traverse(PyObject *object, visitproc visit, void *arg)
{
    const lb_memory *self = (const lb_memory *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->owner);
    Py_VISIT(self->kept);
    Py_VISIT(self->view.obj);
    return 0;
}

static int memory_clear(PyObject *object)
{
    lb_memory *self = (lb_memory *)object;
    Py_CLEAR(self->kept); /* owner and view hold the memory itself: they go with the object */
    return 0;
}

static void memory_free(PyObject *object)
{
    lb_memory *self = (lb_memory *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    memory_clear(object);
    if (self->is_heap)
        free(self->data);
    if (self->view.obj != NULL)
        PyBuffer_Release(&self->view);
    Py_CLEAR(self->owner);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int memory_buffer(PyObject *object, Py_buffer *view, int flags)
{
    const lb_memory *self = (const lb_memory *)object;
    return PyBuffer_FillInfo(view, object, self->data, (Py_ssize_t)self->size, self->is_readonly, flags);
}

/* `size` bytes at `offset`, or NULL with an exception. */
uint8_t *lb_memory_within(lb_memory *self, size_t offset, size_t size, bool is_written)
{
    if (offset > self->size || size > self->size - offset) {
        PyErr_Format(PyExc_IndexError, "%zu bytes at %zu are not within %zu bytes", size, offset, self->size);
        return NULL;
    }
    if (is_written && self->is_readonly) {
        PyErr_SetString(PyExc_TypeError, "the memory is read-only");
        return NULL;
    }
    return (uint8_t *)self->data + offset;
}

int lb_memory_check(PyObject *value)
{
    if (lb_is_memory(value))
        return 0;
    PyErr_Format(PyExc_TypeError, "not memory of a C object: %R", value);
    return -1;
}

/* Whose memory it is a part of, in the end. */
static lb_memory *root_of(PyObject *object)
{
    lb_memory *self = (lb_memory *)object;
    while (self->owner != NULL && lb_is_memory(self->owner))
        self = (lb_memory *)self->owner;
    return self;
}

/* functions ----------------------------------------------------------------------------------------------------------- */

static PyObject *memory_address(PyObject *module, PyObject *value)
{
    (void)module;
    return lb_memory_check(value) < 0 ? NULL : PyLong_FromVoidPtr(((lb_memory *)value)->data);
}

static PyObject *memory_size(PyObject *module, PyObject *value)
{
    (void)module;
    return lb_memory_check(value) < 0 ? NULL : PyLong_FromSize_t(((lb_memory *)value)->size);
}

static PyObject *memory_at(PyObject *module, PyObject *args)
{
    PyObject *class, *keep;
    unsigned long long address;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO&nO:memory_at", &class, lb_as_uint64, &address, &size, &keep))
        return NULL;
    if (address == 0 || size < 0)
        return PyErr_Format(PyExc_ValueError, "there is nothing at NULL");
    lb_memory *self = make(class);
    if (self == NULL)
        return NULL;
    self->data = (void *)(uintptr_t)address;
    self->size = (size_t)size;
    self->owner = keep == Py_None ? NULL : Py_NewRef(keep);
    return (PyObject *)self;
}

static PyObject *memory_part(PyObject *module, PyObject *args)
{
    PyObject *class, *whole;
    Py_ssize_t offset, size;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOnn:memory_part", &class, &whole, &offset, &size))
        return NULL;
    if (lb_memory_check(whole) < 0)
        return NULL;
    uint8_t *data = lb_memory_within((lb_memory *)whole, (size_t)offset, (size_t)size, false);
    lb_memory *self = data == NULL ? NULL : make(class);
    if (self == NULL)
        return NULL;
    self->data = data;
    self->size = (size_t)size;
    self->is_readonly = ((lb_memory *)whole)->is_readonly;
    self->owner = Py_NewRef((PyObject *)root_of(whole));
    return (PyObject *)self;
}

static PyObject *memory_view(PyObject *module, PyObject *args)
{
    PyObject *class, *buffer;
    Py_ssize_t offset, size;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOnn:memory_view", &class, &buffer, &offset, &size))
        return NULL;
    lb_memory *self = make(class);
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(buffer, &self->view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        if (PyObject_GetBuffer(buffer, &self->view, PyBUF_SIMPLE) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    self->is_readonly = self->view.readonly;
    if (offset < 0 || size < 0 || offset > self->view.len || size > self->view.len - offset) {
        PyErr_Format(PyExc_ValueError, "%zd bytes at %zd are not within a buffer of %zd", size, offset, self->view.len);
        Py_DECREF(self);
        return NULL;
    }
    self->data = (uint8_t *)self->view.buf + offset;
    self->size = (size_t)size;
    return (PyObject *)self;
}

static PyObject *memory_load(PyObject *module, PyObject *args)
{
    PyObject *value, *text_class;
    Py_ssize_t offset;
    unsigned char op;
    (void)module;
    if (!PyArg_ParseTuple(args, "ObnO:memory_load", &value, &op, &offset, &text_class) || lb_memory_check(value) < 0)
        return NULL;
    const uint8_t *data = lb_memory_within((lb_memory *)value, (size_t)offset, lb_op_size(op), false);
    return data == NULL ? NULL : lb_value_load(op, data, text_class == Py_None ? NULL : text_class);
}

int lb_memory_set(lb_memory *self, uint8_t op, PyObject *type, size_t offset, PyObject *value)
{
    uint64_t words[LB_VALUE_WORDS];
    uint8_t *data = lb_memory_within(self, offset, lb_op_size(op), true);
    if (data == NULL)
        return -1;
    if (op == LB_TEXT || op == LB_POINTER) { /* an address: latebind.ffi has made one of whatever it was */
        unsigned long long address;
        if (!lb_as_uint64(value, &address))
            return -1;
        words[0] = address;
    } else if (lb_scalar_to_words(op, type, value, words) < 0) {
        return -1;
    }
    memcpy(data, words, lb_op_size(op));
    return 0;
}

static PyObject *memory_store(PyObject *module, PyObject *args)
{
    PyObject *object, *type, *value;
    Py_ssize_t offset;
    unsigned char op;
    (void)module;
    if (!PyArg_ParseTuple(args, "ObnOO:memory_store", &object, &op, &offset, &type, &value) ||
        lb_memory_check(object) < 0)
        return NULL;
    if (lb_memory_set((lb_memory *)object, op, type, (size_t)offset, value) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int keep_at(lb_memory *root, unsigned long long address, PyObject *kept)
{
    if (root->kept == NULL && (root->kept = PyDict_New()) == NULL)
        return -1;
    PyObject *key = PyLong_FromUnsignedLongLong(address);
    const int result = key == NULL ? -1 : PyDict_SetItem(root->kept, key, kept);
    Py_XDECREF(key);
    return result;
}

static PyObject *memory_keep(PyObject *module, PyObject *args)
{
    PyObject *object, *keep;
    unsigned long long address;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO&O:memory_keep", &object, lb_as_uint64, &address, &keep) || lb_memory_check(object) < 0)
        return NULL;
    if (keep_at(root_of(object), address, keep) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* What the pointers in `from` keep, for the same pointers in `to`. */
static int copy_kept(const lb_memory *to, lb_memory *to_root, const lb_memory *from, const lb_memory *from_root)
{
    if (from_root->kept == NULL)
        return 0;
    PyObject *items = PyDict_Items(from_root->kept); /* a list of its own: both may have one root */
    const Py_ssize_t count = items == NULL ? -1 : PyList_Size(items);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(items, i);
        const uint64_t place = PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, 0)) - (uint64_t)(uintptr_t)from->data;
        if (place < from->size &&
            keep_at(to_root, (uint64_t)(uintptr_t)to->data + place, PyTuple_GetItem(item, 1)) < 0) {
            Py_DECREF(items);
            return -1;
        }
    }
    Py_XDECREF(items);
    return count < 0 ? -1 : 0;
}

static PyObject *memory_copy(PyObject *module, PyObject *args)
{
    PyObject *to, *from;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:memory_copy", &to, &from) || lb_memory_check(to) < 0 || lb_memory_check(from) < 0)
        return NULL;
    lb_memory *target = (lb_memory *)to;
    const lb_memory *source = (const lb_memory *)from;
    uint8_t *data = lb_memory_within(target, 0, source->size, true);
    if (data == NULL || copy_kept(target, root_of(to), source, root_of(from)) < 0)
        return NULL;
    memmove(data, source->data, source->size);
    Py_RETURN_NONE;
}

/* What `reader` gives: a builtin function with the operation as its `self`. */
static PyObject *read_at(PyObject *op, PyObject *address)
{
    const uint64_t at = PyLong_AsUnsignedLongLong(address);
    if (at == UINT64_MAX && PyErr_Occurred())
        return NULL;
    if (at == 0)
        return PyErr_Format(PyExc_ValueError, "there is nothing at NULL");
    return lb_value_load((uint8_t)PyLong_AsLong(op), (const void *)(uintptr_t)at, NULL);
}

static PyMethodDef read_at_method = {
    "read", read_at, METH_O, "read(address) -> object\n\nThe value at an address, which must be good."};

static PyObject *reader(PyObject *module, PyObject *args)
{
    unsigned char op;
    (void)module;
    if (!PyArg_ParseTuple(args, "b:reader", &op))
        return NULL;
    if (lb_op_size(op) == 0)
        return PyErr_Format(PyExc_ValueError, "no value of kind %d can be read", op);
    PyObject *number = PyLong_FromLong(op);
    PyObject *made = number == NULL ? NULL : PyCFunction_NewEx(&read_at_method, number, NULL);
    Py_XDECREF(number);
    return made;
}

/* types ---------------------------------------------------------------------------------------------------------------- */

static PyType_Slot memory_slots[] = {
    {Py_tp_new, (void *)memory_new},
    {Py_tp_dealloc, (void *)memory_free},
    {Py_tp_traverse, (void *)memory_traverse},
    {Py_tp_clear, (void *)memory_clear},
    {Py_bf_getbuffer, (void *)memory_buffer},
    {Py_tp_doc, "The bytes of a C object: its own, or a part of another's, or at an address.  A writable buffer."},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "latebind._core.Memory",
    .basicsize = sizeof(lb_memory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = memory_slots,
};

static PyMethodDef functions[] = {
    {"memory_address", memory_address, METH_O, "memory_address(memory) -> int"},
    {"memory_size", memory_size, METH_O, "memory_size(memory) -> int"},
    {"memory_at", memory_at, METH_VARARGS,
     "memory_at(class, address, size, keep) -> Memory\n\nThe memory at an address, which `keep` answers for."},
    {"memory_part", memory_part, METH_VARARGS,
     "memory_part(class, memory, offset, size) -> Memory\n\nA part of another's memory.  Raises IndexError."},
    {"memory_view", memory_view, METH_VARARGS,
     "memory_view(class, buffer, offset, size) -> Memory\n\nA buffer's own memory.  Raises ValueError."},
    {"memory_load", memory_load, METH_VARARGS, "memory_load(memory, op, offset, text_class) -> object"},
    {"memory_store", memory_store, METH_VARARGS, "memory_store(memory, op, offset, type, value) -> None"},
    {"memory_keep", memory_keep, METH_VARARGS,
     "memory_keep(memory, address, object) -> None\n\nKeep what the pointer at `address` points to."},
    {"memory_copy", memory_copy, METH_VARARGS,
     "memory_copy(to, from) -> None\n\nCopy the bytes, and keep what the pointers among them point to."},
    {"reader", reader, METH_VARARGS, "reader(op) -> Callable[[int], object]\n\nA function from an address to the value there."},
    {NULL, NULL, 0, NULL},
};

int lb_add_memory(PyObject *module)
{
    memory_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &memory_spec, NULL);
    if (memory_type == NULL || PyModule_AddType(module, memory_type) < 0)
        return -1;
    return lb_add_member(module) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
