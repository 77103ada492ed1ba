/* What others need of the Python face of layout.c. */
#ifndef LATEBIND_PY_LAYOUT_H
#define LATEBIND_PY_LAYOUT_H

#include "layout.h"
#include "module.h"

/* The tuple that `_core.layout` returns. */
PyObject *lb_layout_to_python(const struct lb_layout *layout);

#endif
