/* What others need of `_core.FileMapping` (py_file.c). */
#ifndef LATEBIND_PY_FILE_H
#define LATEBIND_PY_FILE_H

#include "module.h"
#include "shrunk.h"

#include <sys/types.h>

/* A new FileMapping, of type `type`, of the first `size` bytes (more than none) of an open regular file; `flags` are
 * mmap's, besides MAP_PRIVATE.  NULL with OSError or MemoryError. */
PyObject *lb_map_file(PyTypeObject *type, int fd, off_t size, int flags);

/* The same of a file that is mapped and guarded already: the mapping is its own from then on, and the size in `map` 0. */
PyObject *lb_adopt_map(PyTypeObject *type, struct lb_guarded *map);

#endif
