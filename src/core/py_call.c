/* `_core.Function`: a C function that Python calls.  The prototype was compiled to slots (py_value.h) once; a call fills
 * the words, checks every argument on the way, and lets lb_call do the rest.  Nothing is called unless all fit. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "py_call.h"
#include "py_lifetime.h"
#include "py_running.h"
#include "py_value.h"

#define SMALL_WORDS (LB_CALL_STACK + 18) /* a call with more, or with more pointers, takes memory from the heap */
#define SMALL_KEPT 6

static PyTypeObject *function_type; /* owned; the module is loaded once in a process */
static __thread struct lb_thread this_thread;

struct lb_thread *lb_this_thread(void)
{
    return &this_thread;
}

bool lb_is_function(PyObject *value)
{
    return Py_IS_TYPE(value, function_type);
}

int lb_function_address(PyObject *value, uint64_t *address)
{
    const lb_function *function = (const lb_function *)value;
    if (function->lifetime != NULL && function->lifetime->is_over)
        return lb_lifetime_refuse(function->lifetime);
    *address = function->target;
    return 0;
}

/* errors -------------------------------------------------------------------------------------------------------------- */

static PyObject *wrong_count(const lb_function *self, Py_ssize_t count)
{
    return PyErr_Format(PyExc_TypeError, "%S: %S takes %s%u argument%s, not %zd", self->library, self->prototype,
                        self->is_variadic ? "at least " : "", (unsigned)self->given, self->given == 1 ? "" : "s", count);
}

/* Put library, function and parameter before the message about the value: `index` counts from 0. */
static void place_error(const lb_function *self, uint32_t index)
{
    PyObject *type, *value, *trace, *name, *parameter = NULL;
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError) &&
        !PyErr_ExceptionMatches(PyExc_OverflowError))
        return; /* an interrupt, no memory, the end of a library */
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *kind = PyErr_GivenExceptionMatches(type, PyExc_TypeError)       ? PyExc_TypeError
                     : PyErr_GivenExceptionMatches(type, PyExc_OverflowError) ? PyExc_OverflowError
                                                                              : PyExc_ValueError;
    name = PyObject_GetAttrString(self->prototype, "name");
    if (index < self->slot_count) {
        PyObject *parameters = PyObject_GetAttrString(self->prototype, "parameters");
        parameter = parameters == NULL ? NULL : PySequence_GetItem(parameters, (Py_ssize_t)index);
        Py_XDECREF(parameters);
    } else {
        parameter = PyUnicode_FromString("...");
    }
    if (name != NULL && parameter != NULL)
        PyErr_Format(kind, "%S: %S, parameter %u (%S): %S", self->library, name, (unsigned)index + 1, parameter, value);
    Py_XDECREF(name);
    Py_XDECREF(parameter);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

/* arguments ----------------------------------------------------------------------------------------------------------- */

static void spread(const struct lb_slot *slot, const uint8_t *bytes, uint64_t *words)
{
    for (uint32_t i = 0; i < slot->piece_count; i++)
        memcpy(words + slot->pieces[i].word, bytes + slot->pieces[i].offset, slot->pieces[i].size);
}

/* A record's bytes into their words, or into a copy that the callee may change. */
static int put_record(const struct lb_slot *slot, const uint8_t *bytes, struct lb_frame *frame)
{
    void *copy;
    if (!(slot->flags & LB_REFERENCE)) {
        spread(slot, bytes, frame->words);
        return 0;
    }
    PyObject *memory = lb_memory_new(slot->class, slot->size, &copy);
    if (memory == NULL)
        return -1;
    memcpy(copy, bytes, slot->size);
    frame->kept.objects[frame->kept.object_count++] = memory;
    frame->words[slot->word] = (uint64_t)(uintptr_t)copy;
    return 0;
}

static int record_to_words(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame)
{
    void *data;
    size_t size;
    bool is_readonly;
    uint64_t address;
    if (!lb_is_memory(value) || PyObject_IsInstance(value, slot->class) != 1) {
        if (PyErr_Occurred() || lb_converted(slot, value, self->convert, &address, &frame->kept) < 0)
            return -1;
        return put_record(slot, (const uint8_t *)(uintptr_t)address, frame);
    }
    if (lb_memory_data(value, &data, &size, &is_readonly) < 0)
        return -1;
    if (size != slot->size) { /* of a class that was derived and changed */
        PyErr_Format(PyExc_ValueError, "%S has %u bytes, not %zu", slot->type, (unsigned)slot->size, size);
        return -1;
    }
    return put_record(slot, data, frame);
}

/* Memory for an out-parameter: the frame's own for a number or pointer, a new record otherwise. */
static int prepare_out(const struct lb_slot *slot, struct lb_frame *frame, uint32_t *outs)
{
    if (slot->class == NULL) {
        uint64_t *place = frame->outs + (size_t)(*outs)++ * LB_VALUE_WORDS;
        memset(place, 0, LB_VALUE_WORDS * sizeof *place);
        frame->words[slot->word] = (uint64_t)(uintptr_t)place;
        return 0;
    }
    PyObject *record = PyObject_CallNoArgs(slot->class);
    void *data;
    size_t size;
    bool is_readonly;
    if (record == NULL)
        return -1;
    frame->kept.objects[frame->kept.object_count++] = record;
    if (lb_memory_data(record, &data, &size, &is_readonly) < 0)
        return -1;
    frame->words[slot->word] = (uint64_t)(uintptr_t)data;
    return 0;
}

int lb_put_argument(const lb_function *self, const struct lb_slot *slot, PyObject *value, struct lb_frame *frame)
{
    uint64_t wide[LB_VALUE_WORDS];
    switch (slot->op) {
    case LB_TEXT:
        if (PyBytes_CheckExact(value)) { /* as lb_pointer_to_word does, at once */
            frame->words[slot->word] = (uint64_t)(uintptr_t)PyBytes_AsString(value);
            return 0;
        }
        return lb_pointer_to_word(slot, value, self->convert, &frame->words[slot->word], &frame->kept);
    case LB_POINTER:
        return lb_pointer_to_word(slot, value, self->convert, &frame->words[slot->word], &frame->kept);
    case LB_RECORD:
        return record_to_words(self, slot, value, frame);
    case LB_INT128:
    case LB_UINT128:
    case LB_LONG_DOUBLE:
    case LB_COMPLEX_FLOAT:
    case LB_COMPLEX_DOUBLE:
    case LB_COMPLEX_LONG_DOUBLE:
        if (lb_scalar_to_words(slot->op, slot->type, value, wide) < 0)
            return -1;
        spread(slot, (const uint8_t *)wide, frame->words);
        return 0;
    case LB_INT32: /* the commonest, at once */
        if (PyLong_CheckExact(value)) {
            int overflow;
            long number = PyLong_AsLongAndOverflow(value, &overflow);
            if (!overflow && number == (int32_t)number) {
                frame->words[slot->word] = (uint64_t)number;
                return 0;
            }
        }
        return lb_scalar_to_words(LB_INT32, slot->type, value, &frame->words[slot->word]);
    case LB_DOUBLE:
        if (PyFloat_CheckExact(value)) {
            double number = PyFloat_AsDouble(value);
            memcpy(&frame->words[slot->word], &number, sizeof number);
            return 0;
        }
        return lb_scalar_to_words(LB_DOUBLE, slot->type, value, &frame->words[slot->word]);
    default:
        return lb_scalar_to_words(slot->op, slot->type, value, &frame->words[slot->word]);
    }
}

/* An argument behind the "...": its type follows from the value, after C's default promotions (C17 6.5.2.2). */
static int put_variable(const lb_function *self, PyObject *value, struct lb_frame *frame)
{
    static const struct lb_slot text = {.op = LB_TEXT}, wide = {.op = LB_INT64}, natural = {.op = LB_UINT64};
    const bool is_real = PyFloat_Check(value);
    uint32_t place;
    if (is_real && frame->vectors < LB_CALL_VECTORS)
        place = LB_CALL_INTEGERS + frame->vectors++;
    else if (!is_real && frame->integers < LB_CALL_INTEGERS)
        place = frame->integers++;
    else
        place = LB_CALL_STACK + frame->stack_words++;
    if (is_real)
        return lb_scalar_to_words(LB_DOUBLE, Py_None, value, &frame->words[place]);
    if (PyLong_Check(value)) { /* one word holds every integer: an int sits in the low half of what a long fills */
        int overflow;
        (void)PyLong_AsLongLongAndOverflow(value, &overflow);
        return lb_scalar_to_words(overflow > 0 ? natural.op : wide.op, self->prototype, value, &frame->words[place]);
    }
    struct lb_slot slot = text;
    slot.type = Py_None;
    return lb_pointer_to_word(&slot, value, self->convert, &frame->words[place], &frame->kept);
}

/* Every argument into its words; -1 with an exception that names the parameter. */
static int put_arguments(const lb_function *self, PyObject *const *arguments, Py_ssize_t count, struct lb_frame *frame)
{
    uint32_t next = 0, outs = 0;
    for (uint32_t i = 0; i < self->slot_count; i++) {
        const struct lb_slot *slot = &self->slots[i];
        int result = slot->flags & LB_OUT ? prepare_out(slot, frame, &outs)
                                          : lb_put_argument(self, slot, arguments[next++], frame);
        if (result < 0) {
            place_error(self, i);
            return -1;
        }
    }
    for (; next < (uint32_t)count; next++) {
        if (put_variable(self, arguments[next], frame) < 0) {
            place_error(self, self->slot_count + next - self->given);
            return -1;
        }
    }
    return 0;
}

/* the call ------------------------------------------------------------------------------------------------------------ */

static PyObject *gather(const struct lb_slot *slot, const struct lb_results *results, PyObject *memory)
{
    uint64_t wide[LB_VALUE_WORDS];
    void *bytes = wide;
    size_t size;
    bool is_readonly;
    const uint64_t *words = results->words;
    if (memory == NULL && slot->size <= 8) /* nearly every result */
        return slot->op == LB_INT32    ? PyLong_FromLong((int32_t)words[slot->word])
               : slot->op == LB_DOUBLE ? PyFloat_FromDouble(*(const double *)(const void *)(words + slot->word))
                                       : lb_value_load(slot->op, words + slot->word, NULL);
    if (memory != NULL && lb_memory_data(memory, &bytes, &size, &is_readonly) < 0)
        return NULL;
    for (uint32_t i = 0; i < slot->piece_count; i++)
        memcpy((uint8_t *)bytes + slot->pieces[i].offset, words + slot->pieces[i].word, slot->pieces[i].size);
    return memory != NULL ? Py_NewRef(memory) : lb_value_load(slot->op, bytes, NULL);
}

/* The memory of an object that may be none. */
static const void *data_of(PyObject *object)
{
    void *data = NULL;
    size_t size;
    bool is_readonly;
    if (lb_is_memory(object) && lb_memory_data(object, &data, &size, &is_readonly) < 0)
        return NULL;
    return data;
}

/* The result, and behind it what out-parameters hold now. */
static PyObject *with_outs(const lb_function *self, PyObject *result, struct lb_frame *frame)
{
    const bool is_void = self->result.op == LB_VOID;
    Py_ssize_t next = is_void ? 0 : 1;
    uint32_t scalars = 0;
    Py_ssize_t records = 0;
    PyObject *all = self->outs == 1 && is_void ? NULL : PyTuple_New(next + (Py_ssize_t)self->outs);
    if (result == NULL || (all == NULL && !(self->outs == 1 && is_void))) {
        Py_XDECREF(result);
        Py_XDECREF(all);
        return NULL;
    }
    if (is_void)
        Py_DECREF(result);
    else
        PyTuple_SetItem(all, 0, result);
    for (uint32_t i = 0; i < self->slot_count; i++) {
        const struct lb_slot *slot = &self->slots[i];
        PyObject *value;
        if (!(slot->flags & LB_OUT))
            continue;
        if (slot->class == NULL) {
            value = lb_value_load(slot->element, frame->outs + (size_t)scalars++ * LB_VALUE_WORDS, NULL);
        } else {
            while ((uint64_t)(uintptr_t)data_of(frame->kept.objects[records]) != frame->words[slot->word])
                records++;
            value = Py_NewRef(frame->kept.objects[records++]);
        }
        if (value == NULL || all == NULL) {
            Py_XDECREF(all);
            return value;
        }
        PyTuple_SetItem(all, next++, value);
    }
    return all;
}

/* Jump, with the lock as asked for, errno as the last call left it, and an eye on callbacks. */
int lb_jump(const lb_function *self, const struct lb_frame *frame, struct lb_results *results)
{
    struct lb_thread *thread = &this_thread;
    struct lb_running running = {.outer = thread->running};
    thread->running = &running;
    if (self->releases_lock) {
        PyThreadState *state = PyEval_SaveThread();
        errno = thread->saved_errno;
        lb_call(self->target, frame->words, frame->stack_words, frame->vectors, results);
        thread->saved_errno = errno;
        PyEval_RestoreThread(state);
    } else {
        errno = thread->saved_errno;
        lb_call(self->target, frame->words, frame->stack_words, frame->vectors, results);
        thread->saved_errno = errno;
    }
    thread->running = running.outer;
    if (__builtin_expect(running.type != NULL, 0)) {
        PyErr_Restore(running.type, running.value, running.trace);
        return -1;
    }
    return 0;
}

static PyObject *complete(lb_function *self, PyObject *const *arguments, Py_ssize_t count, struct lb_frame *frame)
{
    struct lb_results results;
    PyObject *memory = NULL, *result = NULL;
    void *data;
    results.x87_count = self->result.x87_count;
    if (self->result.op == LB_RECORD) {
        memory = lb_memory_new(self->result.class, self->result.size, &data);
        if (memory == NULL)
            return NULL;
        results.indirect = (uint64_t)(uintptr_t)data;
        if (self->result.flags & LB_MEMORY && self->result.piece_count != 0)
            frame->words[self->result.word] = results.indirect;
    }
    if (put_arguments(self, arguments, count, frame) == 0 && lb_jump(self, frame, &results) == 0) {
        if (self->result.flags & LB_MEMORY)
            result = Py_NewRef(memory);
        else
            result = gather(&self->result, &results, memory);
        if (self->outs != 0)
            result = with_outs(self, result, frame);
    }
    lb_kept_release(&frame->kept);
    Py_XDECREF(memory);
    return result;
}

/* With memory from the heap, for a call of any size. */
static PyObject *call_large(lb_function *self, PyObject *const *arguments, Py_ssize_t count, size_t words, size_t kept)
{
    struct lb_frame frame = {.integers = self->integers, .vectors = self->vectors, .stack_words = self->stack_words};
    PyObject *result = NULL;
    void *memory = NULL;
    if (posix_memalign(&memory, 16, (words + (size_t)self->outs * LB_VALUE_WORDS) * sizeof(uint64_t)) != 0)
        memory = NULL;
    frame.kept.buffers = PyMem_Calloc(kept, sizeof *frame.kept.buffers);
    frame.kept.objects = PyMem_Calloc(kept, sizeof *frame.kept.objects);
    if (memory == NULL || frame.kept.buffers == NULL || frame.kept.objects == NULL) {
        PyErr_NoMemory();
    } else {
        frame.words = memory;
        frame.outs = frame.words + words;
        result = complete(self, arguments, count, &frame);
    }
    PyMem_Free(frame.kept.buffers);
    PyMem_Free(frame.kept.objects);
    free(memory);
    return result;
}

static PyObject *call_checked(lb_function *self, PyObject *const *arguments, Py_ssize_t count)
{
    _Alignas(16) uint64_t words[SMALL_WORDS];
    const size_t variable = (size_t)count - self->given, kept = self->pointers + self->outs + variable;
    const size_t needed = (LB_CALL_STACK + self->stack_words + variable + 1) & ~(size_t)1;
    if (self->stack_words + variable > LB_MOST_STACK_WORDS)
        return PyErr_Format(PyExc_ValueError, "%S: %S, more than 64 KiB of arguments on the stack", self->library,
                            self->prototype);
    if (needed + (size_t)self->outs * LB_VALUE_WORDS > SMALL_WORDS || kept > SMALL_KEPT)
        return call_large(self, arguments, count, needed, kept + 1);
    Py_buffer buffers[SMALL_KEPT];
    PyObject *objects[SMALL_KEPT];
    struct lb_frame frame = {words, words + needed, {buffers, objects, 0, 0}, self->integers, self->vectors,
                          self->stack_words};
    return complete(self, arguments, count, &frame);
}

static PyObject *function_call(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names)
{
    lb_function *self = (lb_function *)callable;
    const Py_ssize_t count = (Py_ssize_t)(nargsf & ~ARGUMENTS_OFFSET);
    if (names != NULL && PyTuple_Size(names) != 0)
        return PyErr_Format(PyExc_TypeError, "%S: %S takes arguments by position, as in C", self->library,
                            self->prototype);
    if (count != (Py_ssize_t)self->given && !(self->is_variadic && count > (Py_ssize_t)self->given))
        return wrong_count(self, count);
    if (self->lifetime == NULL)
        return call_checked(self, arguments, count);
    lb_lifetime *lifetime = self->lifetime;
    if (lb_lifetime_enter(lifetime) < 0)
        return NULL;
    Py_INCREF((PyObject *)lifetime); /* the function object may be gone when the call returns */
    PyObject *result = call_checked(self, arguments, count);
    lb_lifetime_leave(lifetime);
    Py_DECREF((PyObject *)lifetime);
    return result;
}

/* tp_call, for those who have a tuple and a dictionary; PyVectorcall_Call is not in the limited API of 3.11. */
static PyObject *function_call_tuple(PyObject *callable, PyObject *args, PyObject *kwargs)
{
    const Py_ssize_t count = PyTuple_Size(args);
    if (kwargs != NULL && PyDict_Size(kwargs) != 0)
        return PyErr_Format(PyExc_TypeError, "%S takes arguments by position, as in C",
                            ((lb_function *)callable)->prototype);
    PyObject **arguments = PyMem_Calloc((size_t)count + 1, sizeof *arguments);
    if (arguments == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++)
        arguments[i] = PyTuple_GetItem(args, i);
    PyObject *result = function_call(callable, arguments, (size_t)count, NULL);
    PyMem_Free(arguments);
    return result;
}

/* the object ---------------------------------------------------------------------------------------------------------- */

static int read_slots(lb_function *self, PyObject *parameters)
{
    const Py_ssize_t count = PyTuple_Size(parameters);
    if (count < 0 || count > 1024) {
        PyErr_SetString(PyExc_ValueError, "too many parameters");
        return -1;
    }
    self->slots = PyMem_Calloc((size_t)count + 1, sizeof *self->slots);
    if (self->slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        struct lb_slot *slot = &self->slots[i];
        self->slot_count++;
        if (lb_slot_read(slot, PyTuple_GetItem(parameters, i), LB_CALL_STACK + self->stack_words) < 0)
            return -1;
        self->pointers += slot->op == LB_RECORD ? 2 : slot->op == LB_TEXT || slot->op == LB_POINTER;
        self->outs += (slot->flags & LB_OUT) != 0;
    }
    self->given = self->slot_count - self->outs;
    return 0;
}

static PyObject *function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *prototype, *library, *result, *parameters, *lifetime, *convert;
    unsigned long long target;
    int is_variadic, releases_lock;
    static char *names[] = {"prototype", "address",  "library", "result",      "parameters",    "used",
                            "variadic",  "lifetime", "convert", "releases_lock", NULL};
    lb_function *self = (lb_function *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO&UO!O!(III)pOOp:Function", names, &prototype, lb_as_uint64, &target,
                                     &library, &PyTuple_Type, &result, &PyTuple_Type, &parameters, &self->integers,
                                     &self->vectors, &self->stack_words, &is_variadic, &lifetime, &convert,
                                     &releases_lock))
        goto fail;
    if (target == 0 || (lifetime != Py_None && !lb_is_lifetime(lifetime)) || self->stack_words > LB_MOST_STACK_WORDS ||
        self->integers > LB_CALL_INTEGERS || self->vectors > LB_CALL_VECTORS) {
        PyErr_SetString(PyExc_ValueError, "a broken description of a function");
        goto fail;
    }
    self->call = function_call;
    self->target = target;
    self->prototype = Py_NewRef(prototype);
    self->library = Py_NewRef(library);
    self->convert = convert == Py_None ? NULL : Py_NewRef(convert);
    self->lifetime = lifetime == Py_None ? NULL : (lb_lifetime *)Py_NewRef(lifetime);
    self->is_variadic = is_variadic;
    self->releases_lock = releases_lock;
    /* A result in memory names the word of its hidden argument, any other words of lb_results. */
    if (lb_result_read(&self->result, result) < 0 || read_slots(self, parameters) < 0)
        goto fail;
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static int function_traverse(PyObject *object, visitproc visit, void *arg)
{
    lb_function *self = (lb_function *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->prototype);
    Py_VISIT(self->library);
    Py_VISIT(self->convert);
    Py_VISIT((PyObject *)self->lifetime);
    int result = lb_slot_visit(&self->result, visit, arg);
    for (uint32_t i = 0; i < self->slot_count && result == 0; i++)
        result = lb_slot_visit(&self->slots[i], visit, arg);
    return result;
}

static int function_clear(PyObject *object)
{
    lb_function *self = (lb_function *)object;
    Py_CLEAR(self->prototype);
    Py_CLEAR(self->library);
    Py_CLEAR(self->convert);
    Py_CLEAR(self->lifetime);
    lb_slot_clear(&self->result);
    for (uint32_t i = 0; i < self->slot_count; i++)
        lb_slot_clear(&self->slots[i]);
    return 0;
}

static void function_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    function_clear(object);
    PyMem_Free(((lb_function *)object)->slots);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *function_repr(PyObject *object)
{
    const lb_function *self = (const lb_function *)object;
    return PyUnicode_FromFormat("<%S in %S at %p>", self->prototype, self->library, (void *)(uintptr_t)self->target);
}

static PyObject *function_address(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((lb_function *)object)->target);
}

static PyObject *function_releases(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((lb_function *)object)->releases_lock);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(lb_function, call), READONLY, NULL},
    {"prototype", T_OBJECT, offsetof(lb_function, prototype), READONLY, "What it takes and gives."},
    {"library", T_OBJECT, offsetof(lb_function, library), READONLY, "The name that messages show."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"address", function_address, NULL, "Where its code is.", NULL},
    {"releases_lock", function_releases, NULL, "Whether other Python threads run during a call.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(function_doc,
    "A C function at a runtime address, with the prototype that says how to call it.\n\n"
    "Called with the wrong number of arguments or a value that its parameter cannot hold, it raises TypeError,\n"
    "OverflowError or ValueError, and nothing has been called.");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)function_new},
    {Py_tp_dealloc, (void *)function_free},
    {Py_tp_traverse, (void *)function_traverse},
    {Py_tp_clear, (void *)function_clear},
    {Py_tp_call, (void *)function_call_tuple},
    {Py_tp_repr, (void *)function_repr},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)function_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Function",
    .basicsize = sizeof(lb_function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

static PyObject *get_errno(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(this_thread.saved_errno);
}

static PyObject *set_errno(PyObject *module, PyObject *args)
{
    (void)module;
    int old = this_thread.saved_errno;
    if (!PyArg_ParseTuple(args, "i:set_errno", &this_thread.saved_errno))
        return NULL;
    return PyLong_FromLong(old);
}

static PyMethodDef functions[] = {
    {"get_errno", get_errno, METH_NOARGS, "get_errno() -> int\n\nThe errno that this thread's last call left."},
    {"set_errno", set_errno, METH_VARARGS,
     "set_errno(value) -> int\n\nThe errno that this thread's next call finds; gives the old one."},
    {NULL, NULL, 0, NULL},
};

static PyObject *op_names(void)
{
#define LB_NAME(name, size) #name,
    static const char *const names[] = {LB_OPS(LB_NAME)};
#undef LB_NAME
    PyObject *tuple = PyTuple_New(LB_OP_COUNT);
    for (Py_ssize_t i = 0; tuple != NULL && i < LB_OP_COUNT; i++)
        PyTuple_SetItem(tuple, i, PyUnicode_FromString(names[i]));
    return tuple;
}

int lb_add_call(PyObject *module)
{
    PyObject *names = op_names();
    int result = names == NULL ? -1 : PyModule_AddObjectRef(module, "OPS", names);
    Py_XDECREF(names);
    PyObject *type = result < 0 ? NULL : PyType_FromModuleAndSpec(module, &spec, NULL);
    function_type = (PyTypeObject *)type;
    if (type == NULL || PyModule_AddType(module, function_type) < 0 || PyModule_AddFunctions(module, functions) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "CALL_MACHINE", LB_CALL_MACHINE);
}
