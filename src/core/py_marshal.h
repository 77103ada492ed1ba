/* Values of contracts between Python and the words of a call: those that need no function of Python. */
#ifndef LATEBIND_PY_MARSHAL_H
#define LATEBIND_PY_MARSHAL_H

#include "context.h"
#include "py_function.h"
#include "py_kind.h"

/* How a parameter's values become words.  LIST: of the numbers of `code`, a format character of `struct`. */
#define LB_PARAMETERS(X) X(OTHER) X(INTEGER) X(REAL) X(BOOL) X(TEXT) X(BYTES) X(LIST)
/* How an answer is read: OTHER is a number that Python makes something of, IMAGE the bytes of a structure. */
#define LB_ANSWERS(X) X(NOTHING) X(NUMBER) X(TEXT) X(BYTES) X(LIST) X(OTHER) X(IMAGE)

#define LB_ENUMERATE(name) LB_PARAMETER_##name,
enum { LB_PARAMETERS(LB_ENUMERATE) LB_PARAMETER_COUNT };
#undef LB_ENUMERATE
#define LB_ENUMERATE(name) LB_ANSWER_##name,
enum { LB_ANSWERS(LB_ENUMERATE) LB_ANSWER_COUNT };
#undef LB_ENUMERATE

struct lb_parameter {
    uint8_t how, slot_count, op; /* op: of a list's numbers */
    char code;
    uint32_t size;    /* bytes of one of a list's numbers */
    PyObject *encode; /* encode(value) -> (keeper, word, …), or the right exception; owned */
    struct lb_kind *kind; /* of OTHER; owned */
};

struct lb_answer {
    uint8_t how, op;
    uint32_t size; /* bytes of a list's numbers, or of an image */
    struct lb_kind *kind; /* of OTHER and IMAGE, where they are no handles; owned */
};

/* Memory of arguments: it can be read as it is while the call lasts. */
#define LB_SPANS 4
struct lb_spans {
    uint32_t count;
    struct {
        uint64_t address, size;
    } spans[LB_SPANS];
};

uint8_t lb_op_of(char code); /* of a format character of `struct`; LB_VOID for any other */
/* A plain number's bytes; false for anything else. */
bool lb_number_to_word(uint8_t op, PyObject *value, uint64_t *word);
/* Where `size` bytes of a plugin's can be read: there, or in a copy that the caller frees.  NULL: not there. */
const void *lb_readable(uint64_t address, uint64_t size, const lb_context *context, const struct lb_spans *spans, void **copy);

/* From (how, code, size, slots, encode, kind) and (how, code, size, kind); kind: see py_kind.h, or None.  0, or -1 with an
 * exception, and then too it is there to be cleared. */
int lb_parameter_read(struct lb_parameter *parameter, PyObject *description);
int lb_answer_read(struct lb_answer *answer, PyObject *description);

void lb_kind_clear(struct lb_kind **kind);

/* An argument into the words of its slots; what it points to may go to the arena.  -1 with an exception that names it. */
int lb_put_parameter(const lb_function *function, const struct lb_parameter *parameter, const struct lb_slot *slot,
                     PyObject *value, struct lb_frame *frame, struct lb_spans *spans, lb_context *arena);
/* The answer at `place`, a number, an address and a size, or an image; NULL where it is wrong or needs Python (an exception may be
 * set, and means nothing). */
PyObject *lb_read_answer(const struct lb_answer *answer, const void *place, const lb_context *context,
                         const struct lb_spans *spans);

int lb_add_marshal(PyObject *module);

#endif
