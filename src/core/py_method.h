/* `_core.Method` for py_entry.c. */
#ifndef LATEBIND_PY_METHOD_H
#define LATEBIND_PY_METHOD_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>

bool lb_is_method(PyObject *value);
/* Calls a method that has a pool with one argument a parameter; its wrapped answer, or NULL with an exception. */
PyObject *lb_method_call(PyObject *method, PyObject *const *arguments, Py_ssize_t count);

/* What a tuple holds, as an array: `few` has room for LB_FEW, more are on the heap.  NULL: no memory. */
#define LB_FEW 8
PyObject **lb_items(PyObject *tuple, PyObject **few);
void lb_items_free(PyObject **items, PyObject *const *few);

#endif
