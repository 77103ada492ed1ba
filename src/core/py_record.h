/* The record of a kept plan as Python values. */
#ifndef LATEBIND_PY_RECORD_H
#define LATEBIND_PY_RECORD_H

#include "module.h"

#include <stddef.h>
#include <stdint.h>

/* What the values are made of: PreparedPlan, PreparedObject, FileIdentity (subclasses of tuple), and the roles by their
 * numbers in the record. */
struct lb_makers { /* borrowed */
    PyTypeObject *plan, *object, *identity;
    PyObject *roles;
};

/* For "O&" of PyArg_ParseTuple: a tuple (PreparedPlan, PreparedObject, FileIdentity, roles) into a struct lb_makers. */
int lb_as_makers(PyObject *value, void *result);

/* The PreparedPlan of a record and of `packed`, the packed plan; NULL with ValueError where the record is damaged. */
PyObject *lb_prepared(const uint8_t *record, size_t size, PyObject *packed, const struct lb_makers *makers);

#endif
