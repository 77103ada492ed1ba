/* Scalars between Python and C; see py_value.h.  Pointers, which have rules of their own, are in py_pointer.c.
 *
 * An integer that does not fit is not cut off, and a number is not guessed from another type.  Narrow integers are
 * extended to the whole word: clang's code relies on the caller having extended them to 32 bits. */
#include "py_value.h"

#include "call.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a value's bytes are the low bytes of its word");

PyObject *lb_shown(PyObject *value)
{
    PyObject *name = PyType_GetName(Py_TYPE(value));
    PyObject *text = name == NULL ? NULL : PyObject_Repr(value);
    if (text == NULL || PyUnicode_GetLength(text) > 40) {
        PyErr_Clear(); /* a repr that fails, or an int of too many digits, is not what went wrong here */
        Py_XDECREF(text);
        return name;
    }
    PyObject *shown = PyUnicode_FromFormat("%U %U", name, text);
    Py_DECREF(name);
    Py_DECREF(text);
    return shown;
}

void lb_error_at(PyObject *place)
{
    PyObject *type, *value, *trace;
    if (place != NULL && (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
                          PyErr_ExceptionMatches(PyExc_OverflowError))) {
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        PyObject *kind = PyErr_GivenExceptionMatches(type, PyExc_TypeError)       ? PyExc_TypeError
                         : PyErr_GivenExceptionMatches(type, PyExc_OverflowError) ? PyExc_OverflowError
                                                                                  : PyExc_ValueError;
        PyErr_Format(kind, "%U: %S", place, value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    }
    Py_XDECREF(place);
}

/* TypeError: expected …, not <value>. */
static int not_expected(const char *what, PyObject *value)
{
    PyObject *shown = lb_shown(value);
    if (shown != NULL) {
        PyErr_Format(PyExc_TypeError, "expected %s, not %U", what, shown);
        Py_DECREF(shown);
    }
    return -1;
}

static int does_not_fit(PyObject *type, PyObject *value, const char *low, const char *high)
{
    PyObject *number = PyObject_Repr(value);
    if (number == NULL) { /* more digits than the interpreter writes */
        PyErr_Clear();
        number = PyUnicode_FromString("the number");
    }
    if (number != NULL) {
        PyErr_Format(PyExc_OverflowError, "%U does not fit: %S holds %s to %s", number, type, low, high);
        Py_DECREF(number);
    }
    return -1;
}

static const struct {
    int64_t low;
    uint64_t high;
    const char *low_text, *high_text;
} RANGES[LB_OP_COUNT] = {
    [LB_INT8] = {INT8_MIN, INT8_MAX, "-128", "127"},
    [LB_UINT8] = {0, UINT8_MAX, "0", "255"},
    [LB_INT16] = {INT16_MIN, INT16_MAX, "-32768", "32767"},
    [LB_UINT16] = {0, UINT16_MAX, "0", "65535"},
    [LB_INT32] = {INT32_MIN, INT32_MAX, "-2147483648", "2147483647"},
    [LB_UINT32] = {0, UINT32_MAX, "0", "4294967295"},
    [LB_INT64] = {INT64_MIN, INT64_MAX, "-9223372036854775808", "9223372036854775807"},
    [LB_UINT64] = {0, UINT64_MAX, "0", "18446744073709551615"},
    [LB_INT128] = {0, 0, "-170141183460469231731687303715884105728", "170141183460469231731687303715884105727"},
    [LB_UINT128] = {0, 0, "0", "340282366920938463463374607431768211455"},
};

/* An int object for whatever has __index__; a new reference. */
static PyObject *as_integer(PyObject *value)
{
    PyObject *number = PyNumber_Index(value);
    if (number == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        not_expected("an integer", value);
    }
    return number;
}

/* 16 bytes, by two halves: the limited API of 3.11 has no conversion of that size. */
static int wide_to_words(uint8_t op, PyObject *type, PyObject *number, uint64_t *words)
{
    PyObject *bits = PyLong_FromLong(64);
    PyObject *upper = bits == NULL ? NULL : PyNumber_Rshift(number, bits);
    int overflow = -1;
    words[0] = PyLong_AsUnsignedLongLongMask(number);
    if (upper != NULL && op == LB_INT128) {
        words[1] = (uint64_t)PyLong_AsLongLongAndOverflow(upper, &overflow);
    } else if (upper != NULL) {
        words[1] = PyLong_AsUnsignedLongLong(upper);
        overflow = PyErr_Occurred() != NULL;
        PyErr_Clear();
    }
    Py_XDECREF(bits);
    Py_XDECREF(upper);
    if (upper == NULL)
        return -1;
    return overflow ? does_not_fit(type, number, RANGES[op].low_text, RANGES[op].high_text) : 0;
}

static int integer_to_words(uint8_t op, PyObject *type, PyObject *value, uint64_t *words)
{
    int overflow;
    PyObject *number = PyLong_CheckExact(value) ? Py_NewRef(value) : as_integer(value);
    if (number == NULL)
        return -1;
    int result = 0;
    if (op == LB_INT128 || op == LB_UINT128) {
        result = wide_to_words(op, type, number, words);
    } else {
        long long small = PyLong_AsLongLongAndOverflow(number, &overflow);
        words[0] = (uint64_t)small;
        if (overflow > 0 && op == LB_UINT64) {
            words[0] = PyLong_AsUnsignedLongLong(number);
            overflow = PyErr_Occurred() != NULL;
            PyErr_Clear();
        } else if (small < RANGES[op].low || (small > 0 && (uint64_t)small > RANGES[op].high)) {
            overflow = 1;
        }
        if (overflow)
            result = does_not_fit(type, number, RANGES[op].low_text, RANGES[op].high_text);
    }
    Py_DECREF(number);
    return result;
}

static int as_real(PyObject *value, double *real)
{
    if (PyFloat_CheckExact(value)) {
        *real = PyFloat_AsDouble(value);
        return 0;
    }
    *real = PyFloat_AsDouble(value); /* by __float__ or __index__; a str is not parsed */
    if (*real == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            not_expected("a number", value);
        }
        return -1;
    }
    return 0;
}

/* A double that rounds to a finite float, or is not finite itself. */
static int as_float(double real, float *narrow)
{
    *narrow = (float)real;
    if (isinf(*narrow) && isfinite(real)) {
        PyObject *number = PyFloat_FromDouble(real);
        if (number != NULL)
            PyErr_Format(PyExc_OverflowError, "%R does not fit: float ends at 3.4028235e+38", number);
        Py_XDECREF(number);
        return -1;
    }
    return 0;
}

static int real_to_words(uint8_t op, PyObject *value, uint64_t *words)
{
    double real;
    float narrow;
    if (as_real(value, &real) < 0)
        return -1;
    if (op == LB_DOUBLE) {
        memcpy(words, &real, sizeof real);
    } else if (op == LB_FLOAT) {
        if (as_float(real, &narrow) < 0)
            return -1;
        words[0] = 0;
        memcpy(words, &narrow, sizeof narrow);
    } else {
        long double extended = real;
        words[0] = words[1] = 0; /* 6 of its bytes are padding */
        memcpy(words, &extended, sizeof extended);
    }
    return 0;
}

static int complex_to_words(uint8_t op, PyObject *value, uint64_t *words)
{
    double parts[2] = {PyComplex_RealAsDouble(value), PyComplex_ImagAsDouble(value)}; /* of a real number too */
    if (PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            not_expected("a number", value);
        }
        return -1;
    }
    if (op == LB_COMPLEX_DOUBLE) {
        memcpy(words, parts, sizeof parts);
    } else if (op == LB_COMPLEX_FLOAT) {
        float narrow[2];
        if (as_float(parts[0], &narrow[0]) < 0 || as_float(parts[1], &narrow[1]) < 0)
            return -1;
        memcpy(words, narrow, sizeof narrow);
    } else {
        long double extended[2] = {parts[0], parts[1]};
        memset(words, 0, sizeof extended);
        memcpy(words, extended, sizeof extended);
    }
    return 0;
}

static int truth_to_words(PyObject *value, uint64_t *words)
{
    if (value == Py_True || value == Py_False) {
        words[0] = value == Py_True;
        return 0;
    }
    if (PyLong_Check(value)) { /* 0 and 1 are what C programs write */
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow && (number == 0 || number == 1)) {
            words[0] = (uint64_t)number;
            return 0;
        }
    }
    return not_expected("True or False", value);
}

int lb_scalar_to_words(uint8_t op, PyObject *type, PyObject *value, uint64_t *words)
{
    switch (op) {
    case LB_BOOL:
        return truth_to_words(value, words);
    case LB_FLOAT:
    case LB_DOUBLE:
    case LB_LONG_DOUBLE:
        return real_to_words(op, value, words);
    case LB_COMPLEX_FLOAT:
    case LB_COMPLEX_DOUBLE:
    case LB_COMPLEX_LONG_DOUBLE:
        return complex_to_words(op, value, words);
    default:
        return integer_to_words(op, type, value, words);
    }
}

static PyObject *wide_load(bool is_signed, const uint64_t *halves)
{
    PyObject *upper = is_signed ? PyLong_FromLongLong((int64_t)halves[1]) : PyLong_FromUnsignedLongLong(halves[1]);
    PyObject *lower = PyLong_FromUnsignedLongLong(halves[0]);
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = upper && bits ? PyNumber_Lshift(upper, bits) : NULL;
    PyObject *whole = shifted && lower ? PyNumber_Or(shifted, lower) : NULL;
    Py_XDECREF(upper);
    Py_XDECREF(lower);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return whole;
}

static PyObject *text_load(uint64_t address, PyObject *text_class)
{
    const char *text = (const char *)(uintptr_t)address;
    if (text == NULL)
        Py_RETURN_NONE;
    if (text_class != NULL)
        return PyObject_CallFunction(text_class, "K", (unsigned long long)address);
    return PyBytes_FromString(text);
}

#define READ(type, from) (__extension__({ type value_; memcpy(&value_, from, sizeof value_); value_; }))

PyObject *lb_value_load(uint8_t op, const void *bytes, PyObject *text_class)
{
    switch (op) {
    case LB_VOID:
        Py_RETURN_NONE;
    case LB_BOOL:
        return PyBool_FromLong(READ(uint8_t, bytes) != 0);
    case LB_INT8:
        return PyLong_FromLong(READ(int8_t, bytes));
    case LB_UINT8:
        return PyLong_FromLong(READ(uint8_t, bytes));
    case LB_INT16:
        return PyLong_FromLong(READ(int16_t, bytes));
    case LB_UINT16:
        return PyLong_FromLong(READ(uint16_t, bytes));
    case LB_INT32:
        return PyLong_FromLong(READ(int32_t, bytes));
    case LB_UINT32:
        return PyLong_FromLong((long)READ(uint32_t, bytes));
    case LB_INT64:
        return PyLong_FromLongLong(READ(int64_t, bytes));
    case LB_UINT64:
        return PyLong_FromUnsignedLongLong(READ(uint64_t, bytes));
    case LB_INT128:
    case LB_UINT128: {
        uint64_t halves[2];
        memcpy(halves, bytes, sizeof halves);
        return wide_load(op == LB_INT128, halves);
    }
    case LB_FLOAT:
        return PyFloat_FromDouble(READ(float, bytes));
    case LB_DOUBLE:
        return PyFloat_FromDouble(READ(double, bytes));
    case LB_LONG_DOUBLE:
        return PyFloat_FromDouble((double)READ(long double, bytes));
    case LB_COMPLEX_FLOAT: {
        float complex value = READ(float complex, bytes);
        return PyComplex_FromDoubles(crealf(value), cimagf(value));
    }
    case LB_COMPLEX_DOUBLE: {
        double complex value = READ(double complex, bytes);
        return PyComplex_FromDoubles(creal(value), cimag(value));
    }
    case LB_COMPLEX_LONG_DOUBLE: {
        long double complex value = READ(long double complex, bytes);
        return PyComplex_FromDoubles((double)creall(value), (double)cimagl(value));
    }
    case LB_TEXT:
        return text_load(READ(uint64_t, bytes), text_class);
    case LB_POINTER: {
        uint64_t address = READ(uint64_t, bytes);
        if (address == 0)
            Py_RETURN_NONE;
        return PyLong_FromUnsignedLongLong(address);
    }
    default:
        return PyErr_Format(PyExc_SystemError, "no value of kind %d can be read", op);
    }
}

uint32_t lb_op_size(uint8_t op)
{
#define LB_SIZE_OF(name, size) size,
    static const uint8_t sizes[LB_OP_COUNT] = {LB_OPS(LB_SIZE_OF)};
#undef LB_SIZE_OF
    return op < LB_OP_COUNT ? sizes[op] : 0;
}
