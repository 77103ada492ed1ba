/* The record of a kept plan (kept.h) as Python's PreparedPlan: latebind/linkplan/kept_record.py writes what is read here. */
#include "py_record.h"

#include <string.h>

#include "kept.h"

#define OBJECT_FIELDS 10

struct reader {
    const uint8_t *at, *end;
    uint32_t object_count;
    const struct lb_makers *makers;
};

static PyObject *wrong(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return NULL;
}

static const uint8_t *take(struct reader *r, uint64_t size)
{
    const uint8_t *at = r->at;
    if (size > (uint64_t)(r->end - at)) {
        wrong("has a record that is cut off");
        return NULL;
    }
    r->at += size;
    return at;
}

static uint32_t number_at(const uint8_t *at, uint32_t index)
{
    uint32_t number;
    memcpy(&number, at + sizeof number * (size_t)index, sizeof number);
    return number;
}

static PyObject *take_text(struct reader *r, uint32_t size)
{
    const uint8_t *text = take(r, size);
    return text == NULL ? NULL : PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, "surrogateescape");
}

/* An int for an object of the plan. */
static PyObject *as_index(const struct reader *r, uint32_t number)
{
    if (number >= r->object_count)
        return wrong("has fields that contradict each other: an object that there is not");
    return PyLong_FromUnsignedLong(number);
}

static PyObject *take_indexes(struct reader *r, uint32_t count)
{
    const uint8_t *numbers = take(r, sizeof(uint32_t) * (uint64_t)count);
    PyObject *result = numbers == NULL ? NULL : PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; i < count && result != NULL; i++) {
        PyObject *index = as_index(r, number_at(numbers, i));
        if (index == NULL || PyTuple_SetItem(result, (Py_ssize_t)i, index) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* Names of symbols, each with the object that owns it: pairs of numbers, (owner, bytes), then the names. */
static PyObject *take_uniques(struct reader *r, uint32_t count)
{
    const uint8_t *pairs = take(r, 2 * sizeof(uint32_t) * (uint64_t)count);
    PyObject *result = pairs == NULL ? NULL : PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; i < count && result != NULL; i++) {
        PyObject *owner = as_index(r, number_at(pairs, 2 * i));
        PyObject *name = owner == NULL ? NULL : take_text(r, number_at(pairs, 2 * i + 1));
        PyObject *pair = name == NULL ? NULL : PyTuple_Pack(2, owner, name);
        Py_XDECREF(owner);
        Py_XDECREF(name);
        if (pair == NULL || PyTuple_SetItem(result, (Py_ssize_t)i, pair) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* A tuple as one of its subclasses, which is what a NamedTuple's _make does.  Takes over `fields`. */
static PyObject *make(PyTypeObject *type, PyObject *fields)
{
    newfunc new = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    PyObject *arguments = fields == NULL ? NULL : PyTuple_Pack(1, fields);
    PyObject *result = arguments == NULL ? NULL : new(type, arguments, NULL);
    Py_XDECREF(arguments);
    Py_XDECREF(fields);
    return result;
}

static PyObject *identity_of(const struct reader *r, const struct lb_record_object *o)
{
    if (!(o->flags & LB_RECORD_HAS_IDENTITY))
        Py_RETURN_NONE;
    return make(r->makers->identity, Py_BuildValue("(LLLL)", (long long)o->identity[0], (long long)o->identity[1],
                                                   (long long)o->identity[2], (long long)o->identity[3]));
}

static PyObject *role_of(const struct reader *r, const struct lb_record_object *o)
{
    if ((Py_ssize_t)o->role >= PyTuple_Size(r->makers->roles))
        return wrong("has fields that contradict each other: a role that there is not");
    return Py_NewRef(PyTuple_GetItem(r->makers->roles, (Py_ssize_t)o->role));
}

static PyObject *flag_of(const struct lb_record_object *o, uint32_t flag)
{
    return PyBool_FromLong((o->flags & flag) != 0);
}

/* PreparedObject's fields, in its order. */
static PyObject *take_object(struct reader *r)
{
    struct lb_record_object o;
    PyObject *fields = PyTuple_New(OBJECT_FIELDS + 1);
    const uint8_t *at = take(r, sizeof o);
    if (at == NULL || fields == NULL) {
        Py_XDECREF(fields);
        return NULL;
    }
    memcpy(&o, at, sizeof o);
    for (Py_ssize_t field = 0; field <= OBJECT_FIELDS && fields != NULL; field++) {
        PyObject *value = NULL;
        switch (field) {
        case 0: value = take_text(r, o.name_size); break;
        case 1: value = take_text(r, o.path_size); break;
        case 2: value = role_of(r, &o); break;
        case 3: value = flag_of(&o, LB_RECORD_PRESENT); break;
        case 4: value = identity_of(r, &o); break;
        case 5: value = flag_of(&o, LB_RECORD_GIVES_TLS); break;
        case 6: value = flag_of(&o, LB_RECORD_NODELETE); break;
        case 7: value = take_indexes(r, o.needs); break;
        case 8: value = take_indexes(r, o.holds); break;
        case 9: value = take_uniques(r, o.uniques); break;
        default: value = Py_NewRef(Py_None); /* its file: not read */
        }
        if (value == NULL || PyTuple_SetItem(fields, field, value) < 0)
            Py_CLEAR(fields);
    }
    return fields == NULL ? NULL : make(r->makers->object, fields);
}

static PyObject *take_objects(struct reader *r)
{
    if (r->object_count > (uint64_t)(r->end - r->at) / sizeof(struct lb_record_object))
        return wrong("has a record that is cut off");
    PyObject *objects = PyTuple_New((Py_ssize_t)r->object_count);
    for (uint32_t i = 0; i < r->object_count && objects != NULL; i++) {
        PyObject *object = take_object(r);
        if (object == NULL || PyTuple_SetItem(objects, (Py_ssize_t)i, object) < 0)
            Py_CLEAR(objects);
    }
    return objects;
}

PyObject *lb_prepared(const uint8_t *record, size_t size, PyObject *packed, const struct lb_makers *makers)
{
    struct reader r = {.at = record, .end = record + size, .makers = makers};
    struct lb_record_header header;
    const uint8_t *at = take(&r, sizeof header);
    if (at == NULL)
        return NULL;
    memcpy(&header, at, sizeof header);
    r.object_count = header.objects;
    if (header.closure_size == 0 || header.closure_size > header.objects)
        return wrong("has fields that contradict each other: a closure that is none");
    PyObject *scope = take_indexes(&r, header.scope), *order = scope == NULL ? NULL : take_indexes(&r, header.order);
    PyObject *objects = order == NULL ? NULL : take_objects(&r);
    PyObject *fields = objects == NULL
                           ? NULL
                           : Py_BuildValue("(OOOOI()())", packed, objects, scope, order, (unsigned)header.closure_size);
    Py_XDECREF(scope);
    Py_XDECREF(order);
    Py_XDECREF(objects);
    return make(makers->plan, fields);
}

static int is_tuple_type(PyObject *type)
{
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type);
}

int lb_as_makers(PyObject *value, void *result)
{
    struct lb_makers *makers = result;
    PyObject *plan, *object, *identity;
    if (!PyTuple_Check(value) || !PyArg_ParseTuple(value, "OOOO!", &plan, &object, &identity, &PyTuple_Type, &makers->roles))
        return PyErr_Occurred() ? 0 : (wrong("the types of a plan's parts are no tuple"), 0);
    if (!is_tuple_type(plan) || !is_tuple_type(object) || !is_tuple_type(identity))
        return wrong("the types of a plan's parts are no tuples"), 0;
    makers->plan = (PyTypeObject *)plan;
    makers->object = (PyTypeObject *)object;
    makers->identity = (PyTypeObject *)identity;
    return 1;
}
