/* `_core.Memory` as its members see it: py_memory.c makes it, py_member.c reads and writes numbers in it. */
#ifndef LATEBIND_PY_MEMORY_H
#define LATEBIND_PY_MEMORY_H

#include "py_value.h"

#define LB_INLINE_BYTES 64 /* less than these are in the object; 32 of them at a multiple of 32 */

typedef struct {
    PyObject_HEAD
    void *data;
    size_t size;
    bool is_readonly, is_heap;
    PyObject *owner; /* whose memory it is a part of; NULL: its own, or nobody's */
    PyObject *kept;  /* dict: address of a pointer → what it points to; NULL: nothing yet */
    Py_buffer view;  /* where it is another object's buffer */
    _Alignas(16) uint8_t small[LB_INLINE_BYTES];
} lb_memory;

/* 0, or -1 with TypeError. */
int lb_memory_check(PyObject *value);
/* `size` bytes at `offset`, or NULL with an exception. */
uint8_t *lb_memory_within(lb_memory *self, size_t offset, size_t size, bool is_written);
/* Stores a scalar, or an address, there: 0, or -1 with an exception. */
int lb_memory_set(lb_memory *self, uint8_t op, PyObject *type, size_t offset, PyObject *value);

/* Adds the type `_core.Member` to the module. */
int lb_add_member(PyObject *module);

#endif
