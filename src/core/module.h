/* What the py_*.c files share.  Only they may include this: the rest of the core knows no Python. */
#ifndef LATEBIND_MODULE_H
#define LATEBIND_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Each adds its types and functions to the module; returns 0, or -1 with an exception set. */
int lb_add_match(PyObject *module);
int lb_add_file(PyObject *module);
int lb_add_pack(PyObject *module);
int lb_add_cache(PyObject *module);
int lb_add_kept(PyObject *module);
int lb_add_image(PyObject *module);
int lb_add_system(PyObject *module);
int lb_add_context(PyObject *module);
int lb_add_gate(PyObject *module);
int lb_add_pool(PyObject *module);
int lb_add_method(PyObject *module);
int lb_add_entry(PyObject *module);
int lb_add_link(PyObject *module);
int lb_add_token(PyObject *module);
int lb_add_callback(PyObject *module);
int lb_add_stubs(PyObject *module);
int lb_add_summary(PyObject *module);
int lb_add_lifetime(PyObject *module);
int lb_add_memory(PyObject *module);
int lb_add_function(PyObject *module);
int lb_add_closure(PyObject *module);

struct lb_error;

/* Raises ExecuteError; returns NULL. */
PyObject *lb_raise(PyObject *module, const struct lb_error *error);

/* As PyObject_GetAttrString, but with the one interned name: CPython's cache of look-ups keeps each name that it is asked
 * for, and would fill with copies. */
PyObject *lb_attribute(PyObject *object, const char *name);

/* For "O&" of PyArg_ParseTuple: a Python int from 0 to 2**64 - 1 into an unsigned long long. */
int lb_as_uint64(PyObject *value, void *result);

#endif
