/* One value between Python and C: the types of C that a call, a callback or a structure's member can hold.
 *
 * A `slot` says of one value what it is (`op`), and where its bytes are among the words of a call (`pieces`). */
#ifndef LATEBIND_PY_VALUE_H
#define LATEBIND_PY_VALUE_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>

/* Python learns the numbers from `_core.OPS`, which is made of the same list. */
#define LB_OPS(X)                                                                                                      \
    X(VOID, 0) X(BOOL, 1) X(INT8, 1) X(UINT8, 1) X(INT16, 2) X(UINT16, 2) X(INT32, 4) X(UINT32, 4) X(INT64, 8)          \
    X(UINT64, 8) X(INT128, 16) X(UINT128, 16) X(FLOAT, 4) X(DOUBLE, 8) X(LONG_DOUBLE, 16) X(COMPLEX_FLOAT, 8)           \
    X(COMPLEX_DOUBLE, 16) X(COMPLEX_LONG_DOUBLE, 32) X(TEXT, 8) X(POINTER, 8) X(RECORD, 0)

#define LB_ENUMERATE(name, size) LB_##name,
enum lb_op { LB_OPS(LB_ENUMERATE) LB_OP_COUNT };
#undef LB_ENUMERATE

#define LB_VALUE_WORDS 4 /* of the largest scalar */

enum lb_slot_flag {
    LB_CONST = 1,   /* of a pointer: the callee only reads through it */
    LB_NONNULL = 2, /* of a pointer: NULL is refused */
    LB_OUT = 4,     /* the caller passes nothing; what the callee stored is a part of the result */
    LB_MEMORY = 8,  /* of a result: the callee writes it where a hidden first argument (or x8) points */
    LB_REFERENCE = 16, /* of a record: the address of a copy is passed */
};

struct lb_piece {
    uint32_t word, offset, size; /* `size` bytes of the value, from `offset` on, are at the start of this word */
};

struct lb_slot {
    uint8_t op, flags, piece_count;
    uint8_t element;   /* of a pointer: the op of what it points to, VOID where that is not known */
    uint8_t x87_count; /* of a result: how many pieces come back in st0 and st1 */
    uint32_t word;   /* of the first piece */
    uint32_t size;   /* bytes */
    struct lb_piece pieces[4];
    PyObject *type;  /* the CType, for messages; owned */
    PyObject *class; /* of a record, and of a pointer to one: the class of its values; or NULL; owned */
};

/* What a converted pointer keeps until the call is over. */
struct lb_kept {
    Py_buffer *buffers;
    PyObject **objects;
    Py_ssize_t buffer_count, object_count; /* one of either for each slot at most */
};

#define LB_MOST_PARAMETERS 1024
#define LB_MOST_STACK_WORDS 8192u /* 64 KiB of arguments: a guard page must not be jumped over */

/* Of a function or callback: what it takes and gives. */
struct lb_signature {
    struct lb_slot result, *parameters;
    uint32_t count; /* of parameters */
};

/* Fills an empty signature from the (op, flags, size, pieces, element, type, class) of the result and of each parameter: 0,
 * or -1 with an exception, and then too it is there to be freed. */
int lb_signature_read(struct lb_signature *signature, PyObject *result, PyObject *parameters, uint32_t stack_words);
int lb_signature_visit(const struct lb_signature *signature, visitproc visit, void *arg);
void lb_signature_clear(struct lb_signature *signature); /* of references, as tp_clear does */
void lb_signature_free(struct lb_signature *signature);

/* The bytes of a scalar, extended to whole words: 0, or -1 with TypeError, OverflowError or ValueError about the value
 * alone.  Not for TEXT, POINTER and RECORD. */
int lb_scalar_to_words(uint8_t op, PyObject *type, PyObject *value, uint64_t *words);
/* The address that `value` stands for; `convert` is asked about what the core does not know. */
int lb_pointer_to_word(const struct lb_slot *slot, PyObject *value, PyObject *convert, uint64_t *word,
                       struct lb_kept *kept);
/* The address that `convert` makes of `value`, for a pointer or a record by value. */
int lb_converted(const struct lb_slot *slot, PyObject *value, PyObject *convert, uint64_t *word, struct lb_kept *kept);
void lb_kept_release(struct lb_kept *kept);

/* The Python value of a scalar or pointer at `bytes`; TEXT is read as bytes, or made a `text_class` where given. */
PyObject *lb_value_load(uint8_t op, const void *bytes, PyObject *text_class);

/* `value`'s type, and itself where that is short, as messages show it; a new reference. */
PyObject *lb_shown(PyObject *value);

/* Puts "place: " before the message of a pending TypeError, ValueError or OverflowError about a value; others stay (an
 * interrupt, no memory, the end of a library).  Takes the reference to `place` over; it may be NULL. */
void lb_error_at(PyObject *place);

/* Bytes of a scalar or pointer. */
uint32_t lb_op_size(uint8_t op);

/* py_memory.c: the memory of a record, and a new one of `class` with `size` bytes of zeros at *data. */
int lb_memory_data(PyObject *value, void **data, size_t *size, bool *is_readonly);
bool lb_is_memory(PyObject *value);
PyObject *lb_memory_new(PyObject *class, size_t size, void **data);

/* py_function.c: whether it is a function, and its address; -1 with ClosedLibrary raised where that is gone. */
bool lb_is_function(PyObject *value);
int lb_function_address(PyObject *value, uint64_t *address);

#endif
