/* What the py_*.c files share.  Only they may include this: the rest of the core knows no Python. */
#ifndef LATEBIND_MODULE_H
#define LATEBIND_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Each adds its types and functions to the module; returns 0, or -1 with an exception set. */
int lb_add_match(PyObject *module);
int lb_add_file(PyObject *module);

#endif
