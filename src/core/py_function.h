/* `_core.Function`: a C function that Python calls, and the frame of one call of it.
 *
 * The prototype was compiled to a signature (py_value.h) once.  py_function.c makes the object, py_call.c calls it, and
 * py_frame.c fills the words of a call from Python's values, and makes values of its results. */
#ifndef LATEBIND_PY_FUNCTION_H
#define LATEBIND_PY_FUNCTION_H

#include "call.h"
#include "py_lifetime.h"
#include "py_value.h"

/* Vectorcall is in the limited API since 3.12; 3.11 knows the same flag (bit 11 since 3.8) and the same member. */
#ifndef Py_TPFLAGS_HAVE_VECTORCALL
#define Py_TPFLAGS_HAVE_VECTORCALL (1UL << 11)
#endif
#define LB_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1)) /* PY_VECTORCALL_ARGUMENTS_OFFSET */

typedef PyObject *lb_vectorcall(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names);

typedef struct {
    PyObject_HEAD
    lb_vectorcall *call; /* lb_function_call; Python finds it by __vectorcalloffset__ */
    uint64_t target;
    PyObject *prototype, *library, *convert;
    lb_lifetime *lifetime; /* NULL: its code stays for good */
    struct lb_signature signature;
    uint32_t given;             /* how many of its parameters the caller passes */
    uint32_t integers, vectors; /* registers in use */
    uint32_t wide;              /* LB_CALL_WIDE, or 0 */
    uint32_t stack_words;
    uint32_t pointers, outs; /* what `struct lb_kept` must have room for */
    bool is_variadic, releases_lock;
    bool is_plain; /* numbers and pointers only, all in registers, and nothing else comes back: nearly every function */
} lb_function;

/* The words of one call, and what it keeps. */
struct lb_frame {
    uint64_t *words;
    uint64_t *outs; /* LB_VALUE_WORDS for each out-parameter */
    struct lb_kept kept;
    uint32_t integers, vectors, stack_words;
};

#define LB_FEW_KEPT 6 /* buffers and objects that a frame on the stack has room for */

/* An argument as it nearly always is, for the commonest types; false: lb_put_argument has to look closer. */
static inline bool lb_put_common(const struct lb_slot *slot, PyObject *value, uint64_t *words)
{
    if (slot->op == LB_TEXT && PyBytes_CheckExact(value)) { /* as lb_pointer_to_word does */
        words[slot->word] = (uint64_t)(uintptr_t)PyBytes_AsString(value);
        return true;
    }
    if ((slot->op == LB_INT32 || slot->op == LB_INT64) && PyLong_CheckExact(value)) {
        int overflow;
        const long number = PyLong_AsLongAndOverflow(value, &overflow);
        words[slot->word] = (uint64_t)number;
        return !overflow && (slot->op == LB_INT64 || number == (int32_t)number);
    }
    if (slot->op == LB_DOUBLE && PyFloat_CheckExact(value)) {
        const double number = PyFloat_AsDouble(value);
        __builtin_memcpy(&words[slot->word], &number, sizeof number);
        return true;
    }
    return false;
}

/* One argument into its words; -1 with an exception about the value alone. */
int lb_put_slot(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame);
/* The argument for parameter `index` into its words; -1 with an exception that names the parameter. */
int lb_put_argument(const lb_function *self, uint32_t index, PyObject *value, struct lb_frame *frame);
/* Every argument into its words; -1 with an exception that names the parameter.  `count` fits the signature. */
int lb_put_arguments(const lb_function *self, PyObject *const *arguments, Py_ssize_t count, struct lb_frame *frame);
/* The value of a result in registers; `memory` is the new record that it fills, NULL where it is none. */
PyObject *lb_gather(const struct lb_slot *slot, const struct lb_results *results, PyObject *memory);
/* The same of a plain function (lb_function.is_plain). */
static inline PyObject *lb_gather_plain(const struct lb_slot *slot, const struct lb_results *results)
{
    const uint64_t word = results->words[slot->word];
    switch (slot->op) {
    case LB_INT32:
        return PyLong_FromLong((int32_t)word);
    case LB_INT64:
        return PyLong_FromLong((int64_t)word);
    case LB_UINT64:
        return PyLong_FromUnsignedLong(word);
    case LB_DOUBLE: {
        double number;
        __builtin_memcpy(&number, &word, sizeof number);
        return PyFloat_FromDouble(number);
    }
    default:
        return lb_value_load(slot->op, &results->words[slot->word], NULL);
    }
}
/* The result (a reference that is taken over, or NULL), and behind it what out-parameters hold now. */
PyObject *lb_with_outs(const lb_function *self, PyObject *result, struct lb_frame *frame);

/* The call itself, with the lock as asked for and errno as the last call left it; -1 with the exception that a callback
 * left. */
int lb_jump(const lb_function *self, const struct lb_frame *frame, struct lb_results *results);
/* tp_vectorcall and tp_call of the type. */
PyObject *lb_function_call(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names);
PyObject *lb_function_call_tuple(PyObject *callable, PyObject *args, PyObject *kwargs);

/* get_errno and set_errno, of the calling thread. */
extern PyMethodDef lb_errno_functions[];

#endif
