/* What the Python faces of match.c and bindings.c share. */
#ifndef LATEBIND_PY_MATCH_H
#define LATEBIND_PY_MATCH_H

#include "bindings.h"
#include "match.h"
#include "module.h"
#include "references.h"

/* The symbols of a `_core.SymbolTable`, which must stay alive as long as they are used. */
const struct lb_symbols *lb_symbols_of(PyObject *table);

bool lb_is_table(PyObject *object);

/* The bytes of a str: as UTF-8, or, where it holds bytes that are no text, in an object that the caller releases. */
bool lb_take_text(PyObject *value, struct lb_text *text, PyObject **owner);

PyObject *lb_text_to_python(struct lb_text text);

/* A `_core.Bindings` of the SymbolTable `table`, which takes over `list`. */
PyObject *lb_bindings_make(PyObject *type, PyObject *table, struct lb_bound_list *list, uint32_t scope_count);

/* The numbers of a tuple, or NULL with an exception. */
uint32_t *lb_numbers_of(PyObject *tuple, uint32_t *count);

/* SymbolTable.bind, and what it says of itself. */
PyObject *lb_table_bind(PyObject *table, PyObject *args);
extern const char lb_bind_doc[];

int lb_add_bindings(PyObject *module);
int lb_add_bind(PyObject *module);
int lb_add_layout(PyObject *module);
int lb_add_lookup(PyObject *module);

#endif
