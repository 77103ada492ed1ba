/* `_core.Function` for the other files of the core that call C functions for Python; py_call.c says more. */
#ifndef LATEBIND_PY_CALL_H
#define LATEBIND_PY_CALL_H

#include "call.h"
#include "py_lifetime.h"
#include "py_value.h"

/* Vectorcall is in the limited API since 3.12; 3.11 knows the same flag (bit 11 since 3.8) and the same member. */
#ifndef Py_TPFLAGS_HAVE_VECTORCALL
#define Py_TPFLAGS_HAVE_VECTORCALL (1UL << 11)
#endif
#define ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1)) /* PY_VECTORCALL_ARGUMENTS_OFFSET */

#define LB_MOST_STACK_WORDS 8192u /* 64 KiB: a guard page must not be jumped over */

typedef PyObject *vectorcall(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names);

typedef struct {
    PyObject_HEAD
    vectorcall *call;
    uint64_t target;
    PyObject *prototype, *library, *convert;
    lb_lifetime *lifetime; /* NULL: its code stays for good */
    struct lb_slot result, *slots;
    uint32_t slot_count, given; /* parameters, and how many of them the caller passes */
    uint32_t integers, vectors; /* registers in use */
    uint32_t stack_words;
    uint32_t pointers, outs; /* what `struct lb_kept` must have room for */
    bool is_variadic, releases_lock;
} lb_function;

/* The words of one call, and what it keeps. */
struct lb_frame {
    uint64_t *words;
    uint64_t *outs; /* LB_VALUE_WORDS for each out-parameter */
    struct lb_kept kept;
    uint32_t integers, vectors, stack_words;
};

/* One argument into its words; -1 with an exception about the value alone. */
int lb_put_argument(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame);
/* The call itself; -1 with the exception that a callback left. */
int lb_jump(const lb_function *self, const struct lb_frame *frame, struct lb_results *results);

#endif
