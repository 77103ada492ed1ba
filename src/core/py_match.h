/* What the Python faces of match.c and bindings.c share. */
#ifndef LATEBIND_PY_MATCH_H
#define LATEBIND_PY_MATCH_H

#include "match.h"
#include "module.h"
#include "references.h"

/* The symbols of a `_core.SymbolTable`, which must stay alive as long as they are used. */
const struct lb_symbols *lb_symbols_of(PyObject *table);

PyObject *lb_text_to_python(struct lb_text text);

/* Makes the `_core.Bindings` of the SymbolTable `table`: binds all `references` in `scope` (a tuple of the same type).
 * `plt_types` is a tuple of relocation types, `watched` one of names. */
PyObject *lb_bindings_new(PyObject *bindings_type, PyObject *table, const struct lb_reference_list *references,
                          PyObject *scope, long long copy_skips, PyObject *plt_types, unsigned int copy_type,
                          PyObject *watched);

int lb_add_bindings(PyObject *module);
int lb_add_layout(PyObject *module);

#endif
