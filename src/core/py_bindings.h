/* What others need of `_core.Bindings` (py_bindings.c), and what py_pack.c adds to it. */
#ifndef LATEBIND_PY_BINDINGS_H
#define LATEBIND_PY_BINDINGS_H

#include "bindings.h"
#include "py_match.h"

/* The rows of a Bindings, and the length of the scope that they are bound in. */
const struct lb_bound_list *lb_rows_of(PyObject *bindings, uint32_t *scope_count);

/* Its method `packed`. */
PyObject *lb_bindings_packed(PyObject *bindings, PyObject *args);
extern const char lb_packed_doc[];

#endif
