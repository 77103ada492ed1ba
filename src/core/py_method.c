/* `_core.Method`: one function of a loaded plugin, called with the values of its contract.
 *
 * What a call passes through, all of it here: the lock of a serial plugin, a context from the pool, the arguments into
 * words, the jump (py_call.c), the status, the answer out of words.  Values that are exactly of their type are converted
 * here too (py_marshal.c, py_kind.c); others, and every value that turns out to be wrong, are left to functions of Python,
 * which know the contract and find the words for errors. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "py_function.h"
#include "py_gate.h"
#include "py_marshal.h"
#include "py_method.h"

#define SMALL_WORDS (LB_CALL_STACK + 18)
#define SMALL_KEPT 10

typedef struct {
    PyObject_HEAD
    lb_vectorcall *call;
    lb_function *function;
    lb_pool_object *pool; /* NULL: it is called within contexts only */
    struct lb_parameter *parameters;
    uint32_t count;
    uint32_t first; /* the slot of the first parameter: behind the context and the handle */
    struct lb_answer answer;
    PyObject *read;   /* read(received, context): the answer's value, or the right exception */
    PyObject *settle; /* settle(context, status) raises what a call ended with, if it did not end well */
    PyObject *wrap;   /* wrap(answer), within the lock; NULL: it is good as it is */
    PyObject *tidy;   /* tidy() closes what waits for it; NULL: nothing does */
} Method;

static PyTypeObject *method_type; /* owned; the module is loaded once in a process */

bool lb_is_method(PyObject *value)
{
    return Py_IS_TYPE(value, method_type);
}

PyObject **lb_items(PyObject *tuple, PyObject **few)
{
    const Py_ssize_t count = PyTuple_Size(tuple);
    PyObject **items = count <= LB_FEW ? few : PyMem_Calloc((size_t)count, sizeof *items);
    if (count < 0)
        return NULL;
    if (items == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        items[i] = PyTuple_GetItem(tuple, i);
    return items;
}

void lb_items_free(PyObject **items, PyObject *const *few)
{
    if (items != few)
        PyMem_Free(items);
}

/* the call ------------------------------------------------------------------------------------------------------------ */

/* The status is not LB_OK, or something happened on the way: 0 if the call is good all the same. */
static int settled(const Method *self, PyObject *pool, PyObject *context, struct lb_call *call, int status)
{
    PyObject *face = context != NULL ? Py_NewRef(context) : lb_context_for(pool, call);
    PyObject *result = face == NULL ? NULL : PyObject_CallFunction(self->settle, "Oi", face, status);
    Py_XDECREF(face);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The answer by way of Python. */
static PyObject *read_slowly(const Method *self, PyObject *context, struct lb_call *call, PyObject *received)
{
    PyObject *face = received == NULL   ? NULL
                     : context != NULL  ? Py_NewRef(context)
                                        : lb_context_for((PyObject *)self->pool, call);
    PyObject *result = face == NULL ? NULL : PyObject_CallFunctionObjArgs(self->read, received, face, NULL);
    Py_XDECREF(face);
    Py_XDECREF(received);
    return result;
}

struct frame {
    struct lb_frame frame;
    struct lb_spans spans;
    uint64_t place[LB_VALUE_WORDS]; /* of a number, or of an address and a size */
    PyObject *image;                /* of any other answer: a bytearray */
};

static int prepare_answer(const Method *self, struct frame *work)
{
    const lb_function *function = self->function;
    if (self->answer.how == LB_ANSWER_NOTHING)
        return 0;
    void *place = work->place;
    if (self->answer.how == LB_ANSWER_IMAGE) {
        work->image = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)self->answer.size);
        if (work->image == NULL)
            return -1;
        place = memset(PyByteArray_AsString(work->image), 0, self->answer.size);
    } else {
        memset(work->place, 0, sizeof work->place);
    }
    work->frame.words[function->signature.parameters[function->signature.count - 1].word] = (uint64_t)(uintptr_t)place;
    return 0;
}

static PyObject *answer(const Method *self, PyObject *context, struct lb_call *call, struct frame *work)
{
    const lb_function *function = self->function;
    if (self->answer.how == LB_ANSWER_NOTHING)
        Py_RETURN_NONE;
    const bool is_image = self->answer.how == LB_ANSWER_IMAGE;
    const void *place = is_image ? (const void *)PyByteArray_AsString(work->image) : work->place;
    PyObject *value = lb_read_answer(&self->answer, place, call->context, &work->spans);
    if (value != NULL)
        return value;
    PyErr_Clear(); /* Python says it better, or can do more */
    if (is_image)
        return read_slowly(self, context, call, Py_NewRef(work->image));
    if (self->answer.how == LB_ANSWER_NUMBER || self->answer.how == LB_ANSWER_OTHER) {
        const uint8_t op = function->signature.parameters[function->signature.count - 1].element;
        return read_slowly(self, context, call, lb_value_load(op, work->place, NULL));
    }
    PyObject *span = PyBytes_FromStringAndSize((const char *)work->place, 16);
    return read_slowly(self, context, call, span);
}

/* Within a context of `call`; `context` is its face, where there is one already. */
static PyObject *perform(const Method *self, PyObject *context, struct lb_call *call, uint64_t handle,
                         PyObject *const *arguments, struct frame *work)
{
    const lb_function *function = self->function;
    struct lb_results results;
    work->frame.words[function->signature.parameters[0].word] = (uint64_t)(uintptr_t)call->context;
    if (self->first == 2)
        work->frame.words[function->signature.parameters[1].word] = handle;
    if (prepare_answer(self, work) < 0)
        return NULL;
    const struct lb_slot *slot = function->signature.parameters + self->first;
    for (uint32_t i = 0; i < self->count; i++) {
        if (lb_put_parameter(function, &self->parameters[i], slot, arguments[i], &work->frame, &work->spans,
                             call->context) < 0)
            return NULL;
        slot += self->parameters[i].slot_count;
    }
    results.x87_count = 0;
    if (lb_jump(function, &work->frame, &results) < 0)
        return NULL;
    const int status = (int32_t)results.words[0];
    if (__builtin_expect(status != LB_OK || call->cause != NULL || lb_context_failed(call->context), 0) &&
        settled(self, (PyObject *)self->pool, context, call, status) < 0)
        return NULL;
    return answer(self, context, call, work);
}

static void work_end(struct frame *work)
{
    lb_kept_release(&work->frame.kept);
    Py_XDECREF(work->image);
}

/* With memory from the heap, for a call of any size. */
static PyObject *perform_large(const Method *self, PyObject *context, struct lb_call *call, uint64_t handle,
                               PyObject *const *arguments, size_t words, size_t kept)
{
    struct frame work = {.frame = {.vectors = self->function->vectors, .stack_words = self->function->stack_words}};
    PyObject *result = NULL;
    void *memory = NULL;
    if (posix_memalign(&memory, 16, words * sizeof(uint64_t)) != 0)
        memory = NULL;
    work.frame.words = memory;
    work.frame.kept.buffers = PyMem_Calloc(kept, sizeof *work.frame.kept.buffers);
    work.frame.kept.objects = PyMem_Calloc(kept, sizeof *work.frame.kept.objects);
    if (memory == NULL || work.frame.kept.buffers == NULL || work.frame.kept.objects == NULL)
        PyErr_NoMemory();
    else
        result = perform(self, context, call, handle, arguments, &work);
    work_end(&work);
    PyMem_Free(work.frame.kept.buffers);
    PyMem_Free(work.frame.kept.objects);
    free(memory);
    return result;
}

static PyObject *within(const Method *self, PyObject *context, struct lb_call *call, uint64_t handle,
                        PyObject *const *arguments)
{
    const lb_function *function = self->function;
    const size_t words = (LB_CALL_STACK + function->stack_words + 1) & ~(size_t)1;
    const size_t kept = (size_t)function->signature.count + self->count;
    if (words > SMALL_WORDS || kept > SMALL_KEPT)
        return perform_large(self, context, call, handle, arguments, words, kept);
    _Alignas(16) uint64_t small[SMALL_WORDS];
    Py_buffer buffers[SMALL_KEPT];
    PyObject *objects[SMALL_KEPT];
    struct frame work;
    work.frame = (struct lb_frame){small, NULL, {buffers, objects, 0, 0}, 0, function->vectors, function->stack_words};
    work.spans.count = 0;
    work.image = NULL;
    PyObject *result = perform(self, context, call, handle, arguments, &work);
    work_end(&work);
    return result;
}

/* The lock is held, if there is one. */
static PyObject *call_locked(const Method *self, uint64_t handle, PyObject *const *arguments)
{
    struct lb_pool *pool = &self->pool->pool;
    if (__builtin_expect(__atomic_load_n(&pool->untidy, __ATOMIC_RELAXED), 0) && self->tidy != NULL) {
        PyObject *done = PyObject_CallNoArgs(self->tidy);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    struct lb_call *call = lb_pool_begin(pool);
    if (call == NULL)
        return PyErr_NoMemory();
    PyObject *result = within(self, NULL, call, handle, arguments);
    lb_end_call(pool, call);
    if (result != NULL && self->wrap != NULL) {
        PyObject *wrapped = PyObject_CallFunctionObjArgs(self->wrap, result, NULL);
        Py_DECREF(result);
        result = wrapped;
    }
    return result;
}

static int check_count(const Method *self, Py_ssize_t count)
{
    if (count == (Py_ssize_t)self->count)
        return 0;
    PyErr_Format(PyExc_ValueError, "%zd arguments for %u parameters", count, (unsigned)self->count);
    return -1;
}

static PyObject *call_pooled(const Method *self, uint64_t handle, PyObject *const *arguments, Py_ssize_t count)
{
    if (check_count(self, count) < 0)
        return NULL;
    if (self->pool == NULL)
        return PyErr_Format(PyExc_ValueError, "it has no pool: call it within a context");
    struct lb_pool *pool = &self->pool->pool;
    if (!pool->is_serial)
        return call_locked(self, handle, arguments);
    if (lb_lock(&pool->serial) < 0)
        return NULL;
    PyObject *result = call_locked(self, handle, arguments);
    lb_serial_unlock(&pool->serial);
    return result;
}

PyObject *lb_method_call(PyObject *method, PyObject *const *arguments, Py_ssize_t count)
{
    return call_pooled((const Method *)method, 0, arguments, count);
}

/* from Python --------------------------------------------------------------------------------------------------------- */

static PyObject *call_sequence(const Method *self, PyObject *context, PyObject *sequence, PyObject *pointer)
{
    unsigned long long handle = 0;
    PyObject *few[LB_FEW], *result = NULL;
    if ((pointer != NULL) != (self->first == 2))
        return PyErr_Format(PyExc_TypeError, self->first == 2 ? "the handle is missing" : "it takes no handle");
    if (pointer != NULL && !lb_as_uint64(pointer, &handle))
        return NULL;
    PyObject *tuple = PyTuple_CheckExact(sequence) ? Py_NewRef(sequence) : PySequence_Tuple(sequence);
    PyObject **items = tuple == NULL ? NULL : lb_items(tuple, few);
    if (items != NULL) {
        struct lb_call *call = context == NULL ? NULL : lb_context_call(context, NULL);
        if (context == NULL)
            result = call_pooled(self, handle, items, PyTuple_Size(tuple));
        else if (call != NULL && check_count(self, PyTuple_Size(tuple)) == 0)
            result = within(self, context, call, handle, items);
        lb_items_free(items, few);
    }
    Py_XDECREF(tuple);
    return result;
}

static PyObject *method_vectorcall(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names)
{
    const size_t count = nargsf & ~LB_ARGUMENTS_OFFSET;
    if ((names != NULL && PyTuple_Size(names) != 0) || count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "call it with the arguments, and the handle where there is one");
    return call_sequence((const Method *)callable, NULL, arguments[0], count == 2 ? arguments[1] : NULL);
}

static PyObject *method_call_tuple(PyObject *callable, PyObject *args, PyObject *keywords)
{
    PyObject *arguments, *pointer = NULL;
    static char *names[] = {"arguments", "pointer", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:Method", names, &arguments, &pointer))
        return NULL;
    return call_sequence((const Method *)callable, NULL, arguments, pointer);
}

static PyObject *method_within(PyObject *self, PyObject *args)
{
    PyObject *context, *arguments, *pointer = NULL;
    if (!PyArg_ParseTuple(args, "OO|O:within", &context, &arguments, &pointer))
        return NULL;
    return call_sequence((const Method *)self, context, arguments, pointer);
}

static int read_parameters(Method *self, PyObject *parameters, uint32_t *slots)
{
    const Py_ssize_t count = PyTuple_Size(parameters);
    self->parameters = PyMem_Calloc((size_t)count + 1, sizeof *self->parameters);
    if (self->parameters == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        struct lb_parameter *parameter = &self->parameters[i];
        self->count++;
        if (lb_parameter_read(parameter, PyTuple_GetItem(parameters, i)) < 0)
            return -1;
        *slots += parameter->slot_count;
    }
    return 0;
}

static PyObject *method_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *function, *parameters, *answer_, *read, *settle, *wrap = Py_None, *tidy = Py_None;
    lb_pool_object *pool = NULL;
    int has_handle = 0;
    static char *names[] = {"function", "parameters", "answer", "read", "settle", "handle", "pool", "wrap", "tidy", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO!OOO|$pO&OO:Method", names, &function, &PyTuple_Type,
                                     &parameters, &answer_, &read, &settle, &has_handle, lb_as_pool_or_none, &pool,
                                     &wrap, &tidy))
        return NULL;
    if (!lb_is_function(function))
        return PyErr_Format(PyExc_TypeError, "not a Function");
    Method *self = (Method *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->call = method_vectorcall;
    self->function = (lb_function *)Py_NewRef(function);
    self->first = has_handle ? 2 : 1;
    self->pool = (lb_pool_object *)Py_XNewRef((PyObject *)pool);
    self->read = Py_NewRef(read);
    self->settle = Py_NewRef(settle);
    self->wrap = wrap == Py_None ? NULL : Py_NewRef(wrap);
    self->tidy = tidy == Py_None ? NULL : Py_NewRef(tidy);
    uint32_t slots = self->first;
    if (lb_answer_read(&self->answer, answer_) == 0 && read_parameters(self, parameters, &slots) == 0) {
        slots += self->answer.how != LB_ANSWER_NOTHING;
        if (slots == self->function->signature.count && !self->function->is_variadic)
            return (PyObject *)self;
        PyErr_SetString(PyExc_ValueError, "the parameters are not those of the function");
    }
    Py_DECREF(self);
    return NULL;
}

static int method_traverse(PyObject *object, visitproc visit, void *arg)
{
    Method *self = (Method *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->function);
    Py_VISIT((PyObject *)self->pool);
    Py_VISIT(self->read);
    Py_VISIT(self->settle);
    Py_VISIT(self->wrap);
    Py_VISIT(self->tidy);
    int result = self->answer.kind == NULL ? 0 : lb_kind_visit(self->answer.kind, visit, arg);
    for (uint32_t i = 0; i < self->count && result == 0; i++) {
        Py_VISIT(self->parameters[i].encode);
        if (self->parameters[i].kind != NULL)
            result = lb_kind_visit(self->parameters[i].kind, visit, arg);
    }
    return result;
}

static int method_clear(PyObject *object)
{
    Method *self = (Method *)object;
    Py_CLEAR(self->function);
    Py_CLEAR(self->pool);
    Py_CLEAR(self->read);
    Py_CLEAR(self->settle);
    Py_CLEAR(self->wrap);
    Py_CLEAR(self->tidy);
    lb_kind_clear(&self->answer.kind);
    for (uint32_t i = 0; i < self->count; i++) {
        Py_CLEAR(self->parameters[i].encode);
        lb_kind_clear(&self->parameters[i].kind);
    }
    return 0;
}

static void method_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    method_clear(object);
    PyMem_Free(((Method *)object)->parameters);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"within", method_within, METH_VARARGS,
     "within(context, arguments, pointer=…) -> answer\n\n"
     "Call it within a call that has begun: no lock, no new context, and the answer is not wrapped."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Method, call), READONLY, NULL},
    {"function", T_OBJECT, offsetof(Method, function), READONLY, "The C function."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(method_doc,
    "Method(function, parameters, answer, read, settle, *, handle=False, pool=None, wrap=None, tidy=None)\n--\n\n"
    "A plugin's function: method(arguments) calls it, method(arguments, pointer) one of a handle.\n\n"
    "`parameters` are (how, code, size, slots, encode, kind): encode(value) -> (keeper, word, …) where `how` does not fit.\n"
    "`answer` is (how, code, size, kind), read(received, context) reads those that `how` cannot; settle(context, status)\n"
    "raises for a call that did not end well.  The names of `how` are PARAMETERS, ANSWERS and, of a kind, KINDS.");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)method_new},
    {Py_tp_dealloc, (void *)method_free},
    {Py_tp_traverse, (void *)method_traverse},
    {Py_tp_clear, (void *)method_clear},
    {Py_tp_call, (void *)method_call_tuple},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_doc, (void *)method_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Method",
    .basicsize = sizeof(Method),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

int lb_add_method(PyObject *module)
{
    method_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (method_type == NULL || PyModule_AddType(module, method_type) < 0)
        return -1;
    return lb_add_marshal(module);
}
