/* Values of contracts that are made of others, between Python and their images in memory: records, enumerations, optional
 * values, and lists of anything.
 *
 * A kind says what lies where (latebind/contracts/compiled.py makes it).  As in py_marshal.h, what is not plain is left
 * to Python: no function here has words for a mistake. */
#ifndef LATEBIND_PY_KIND_H
#define LATEBIND_PY_KIND_H

#include "context.h"
#include "py_value.h"

#define LB_KINDS(X) X(NUMBER) X(TEXT) X(BYTES) X(LIST) X(OPTIONAL) X(ENUMERATION) X(RECORD)
#define LB_ENUMERATE(name) LB_KIND_##name,
enum { LB_KINDS(LB_ENUMERATE) LB_KIND_COUNT };
#undef LB_ENUMERATE

struct lb_spans;

struct lb_kind {
    uint8_t how, op;      /* op: of a number */
    uint32_t size, place; /* of the image in bytes; where it begins in the one around it */
    uint32_t count;
    struct lb_kind *parts; /* a record's fields, or the one element */
    PyObject *name;        /* of a field */
    PyObject *class;       /* of a record or an enumeration */
    PyObject *numbers, *members; /* of an enumeration: the number of each member, the member of each number */
};

/* From (how, code, size, place, name, class, numbers, members, parts); 0, or -1 with an exception, and then too it is
 * there to be freed. */
int lb_kind_read(struct lb_kind *kind, PyObject *description, int depth);
int lb_kind_visit(const struct lb_kind *kind, visitproc visit, void *arg);
void lb_kind_free(struct lb_kind *kind);

/* The image of a value, `size` bytes of zeros before; what it points to goes to the arena.  False: Python must do it, and
 * no exception is set. */
bool lb_kind_pack(const struct lb_kind *kind, PyObject *value, uint8_t *image, lb_context *arena);
/* The value of an image, or NULL where Python must look at it; an exception may be set, and means nothing. */
PyObject *lb_kind_unpack(const struct lb_kind *kind, const uint8_t *image, const lb_context *context,
                         const struct lb_spans *spans);

#endif
