/* `_core.Link`: a C function by which one native plugin calls another, without the interpreter.
 *
 * The caller's imported symbol is bound to it.  A call passes the gate of the plugin that answers, which holds it during
 * a reload and counts it, takes the lock of a serial one, and goes to the function of the generation that serves, with a
 * context of that plugin's.  `point` says where to; a reload does, while nobody is inside.
 *
 * Whatever is not plain goes the longer way, to a function of Python that does the same (contracts/service.py): a call
 * whose thread holds the interpreter lock, since waiting would stop everybody; one with an address that is null; one while
 * no native code serves. A call that fails is told to Python, which finds the words. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "call.h"
#include "py_closure.h"
#include "py_gate.h"
#include "py_link.h"
#include "py_running.h"
#include "settle.h"

#define MOST_STACK_WORDS 64u
#define DEEPEST 32 /* shapes within each other */

struct argument { /* a parameter that holds addresses */
    uint32_t word;
    uint32_t count_word; /* of an address and a number: where the number is; 0: it is the address of an image */
    uint32_t size;       /* of the image */
    struct lb_shape shape;
};

typedef struct {
    PyObject_HEAD
    PyObject *weak_references;
    struct lb_place *place;
    lb_pool_object *caller;
    PyObject *generation; /* whose `pool` and `target` are; NULL: there is none, or it is not native */
    lb_pool_object *pool;
    lb_gate_object *gate;
    lb_meter_object *meter;
    PyObject *failed; /* failed(call, status, caller, image) -> status */
    PyObject *keep;   /* what `fallback` belongs to */
    uint64_t fallback, target;
    uint32_t vectors, stack_words;
    uint32_t context_word, result_word; /* result_word 0: there is none */
    uint32_t result_size;
    struct lb_shape result;
    struct argument *arguments;
    uint32_t argument_count;
} Link;

static PyTypeObject *link_type; /* owned; the module is loaded once in a process */

bool lb_is_link(const void *closure)
{
    return ((const PyObject *)closure)->ob_type == link_type;
}

/* a call -------------------------------------------------------------------------------------------------------------- */

/* In Python: what the caller learns of a call that failed, or whose answer cannot be taken over. */
static int tell(const Link *self, struct lb_call *call, int status, struct lb_call *caller, const void *image)
{
    if (!Py_IsInitialized())
        return LB_FAILED;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *one = lb_context_for((PyObject *)self->pool, call), *other = lb_context_for((PyObject *)self->caller, caller);
    PyObject *told = one == NULL || other == NULL
                         ? NULL
                         : PyObject_CallFunction(self->failed, "OiOy#", one, status, other, image != NULL ? image : "",
                                                 image != NULL ? (Py_ssize_t)self->result_size : 0);
    const long answer = told == NULL ? -1 : PyLong_AsLong(told);
    if (answer == -1 && PyErr_Occurred())
        PyErr_WriteUnraisable(self->failed);
    Py_XDECREF(told);
    Py_XDECREF(one);
    Py_XDECREF(other);
    PyObject *cause = call->cause;
    call->cause = NULL;
    Py_XDECREF(cause);
    PyErr_Restore(type, value, trace);
    PyGILState_Release(state);
    return answer < 0 ? LB_FAILED : (int)answer;
}

static int settle_arguments(const Link *self, uint64_t *words, lb_context *arena)
{
    for (uint32_t i = 0; i < self->argument_count; i++) {
        const struct argument *argument = &self->arguments[i];
        uint64_t *address = &words[argument->word];
        if (argument->count_word != 0) {
            uint64_t span[2] = {*address, words[argument->count_word]};
            if (lb_settle_argument(&argument->shape, (uint8_t *)span, arena) < 0)
                return -1;
            *address = span[0];
            continue;
        }
        if (*address == 0)
            return -1;
        if (argument->shape.count == 0)
            continue;
        uint8_t *image = lb_alloc(arena, argument->size);
        if (image == NULL)
            return -1;
        memcpy(image, (const void *)(uintptr_t)*address, argument->size);
        if (lb_settle_argument(&argument->shape, image, arena) < 0)
            return -1;
        *address = (uint64_t)(uintptr_t)image;
    }
    return 0;
}

/* With a context of the plugin that answers, and its lock.  False: it was not called. */
static bool answer(const Link *self, uint64_t *words, struct lb_call *call, struct lb_call *caller, int *status)
{
    struct lb_results results;
    void *place = self->result_word == 0 ? NULL : (void *)(uintptr_t)words[self->result_word];
    if ((self->result_word != 0 && place == NULL) || settle_arguments(self, words, call->context) < 0)
        return false;
    words[self->context_word] = (uint64_t)(uintptr_t)call->context;
    results.x87_count = 0;
    lb_call(self->target, words, self->stack_words, self->vectors, &results);
    *status = (int32_t)results.words[0];
    if (*status != LB_OK || call->cause != NULL || lb_context_failed(call->context))
        *status = tell(self, call, *status, caller, NULL);
    if (*status == LB_OK && self->result.count != 0) {
        uint64_t image[(self->result_size + 7) / 8]; /* as it came, for the words about it */
        memcpy(image, place, self->result_size);
        if (lb_settle_answer(&self->result, place, caller->context, call->context) < 0)
            *status = tell(self, call, LB_OK, caller, image);
    }
    return true;
}

/* Inside the gate. */
static bool serve(const Link *self, uint64_t *words, struct lb_call *caller, int *status)
{
    if (self->pool == NULL || self->generation != self->gate->serving) /* another one that serves is not for us to call */
        return false;
    struct lb_pool *pool = &self->pool->pool;
    struct lb_meter *meter = &self->meter->meter;
    if (__atomic_load_n(&pool->untidy, __ATOMIC_RELAXED)) /* what was dropped is closed by the next call from Python */
        return false;
    const uint64_t begun = lb_meter_begin(meter);
    if (pool->is_serial && !lb_serial_try(&pool->serial))
        while (!lb_serial_wait(&pool->serial, LB_SLICE))
            continue;
    struct lb_call *call = lb_pool_begin(pool);
    bool is_answered = false;
    if (call != NULL) {
        is_answered = answer(self, words, call, caller, status);
        lb_pool_end(pool, call);
    }
    if (pool->is_serial)
        lb_serial_unlock(&pool->serial);
    if (is_answered)
        lb_meter_end(meter, begun, *status != LB_OK);
    else
        lb_meter_cancel(meter);
    return is_answered;
}

static bool pass(const Link *self, uint64_t *words, struct lb_call *caller, int *status)
{
    struct lb_inside mark;
    struct lb_gate *gate = &self->gate->gate;
    if (lb_gate_inside(gate) != NULL)
        return serve(self, words, caller, status);
    while (!lb_gate_enter(gate, &mark))
        lb_gate_wait(gate, LB_SLICE);
    const bool is_answered = serve(self, words, caller, status);
    lb_gate_leave(&mark);
    return is_answered;
}

static void gather(const Link *self, const uint64_t *registers, const uint64_t *stack, uint64_t *words)
{
    memcpy(words, registers, LB_CALL_STACK * sizeof *words);
    memcpy(words + LB_CALL_STACK, stack, self->stack_words * sizeof *words);
}

void lb_link_run(void *closure, const uint64_t *registers, const uint64_t *stack, struct lb_results *results)
{
    const Link *self = closure;
    const struct lb_running *running = lb_this_thread()->running;
    _Alignas(16) uint64_t words[LB_CALL_STACK + MOST_STACK_WORDS];
    int status = LB_FAILED; /* in no context of ours: there is nowhere to leave a message */
    gather(self, registers, stack, words);
    struct lb_call *caller = lb_pool_find(&self->caller->pool, words[self->context_word]);
    if (caller != NULL && ((running != NULL && running->holds_lock) || !pass(self, words, caller, &status))) {
        gather(self, registers, stack, words);
        results->x87_count = 0;
        lb_call(self->fallback, words, self->stack_words, self->vectors, results);
        status = (int32_t)results->words[0];
    }
    memset(results->words, 0, sizeof results->words);
    results->words[0] = (uint64_t)(uint32_t)status;
    results->x87_count = 0;
}

/* the object ---------------------------------------------------------------------------------------------------------- */

static int broken(const char *what)
{
    PyErr_Format(PyExc_ValueError, "a broken description of %s", what);
    return -1;
}

/* From ((kind, offset, flag, size, shape), …). `end`: bytes of the image. */
static int read_shape(struct lb_shape *shape, PyObject *parts, uint64_t end, int depth)
{
    const Py_ssize_t count = PyTuple_Check(parts) && depth < DEEPEST ? PyTuple_Size(parts) : -1;
    if (count < 0 || count > 4096)
        return broken("a shape");
    if (count == 0)
        return 0;
    if ((shape->parts = calloc((size_t)count, sizeof *shape->parts)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        struct lb_part *part = &shape->parts[i];
        PyObject *inner;
        shape->count++;
        if (!PyArg_ParseTuple(PyTuple_GetItem(parts, i), "bIIIO", &part->kind, &part->offset, &part->flag, &part->size,
                              &inner))
            return -1;
        const bool is_inside = part->kind == LB_PART_INSIDE;
        if (part->kind > LB_PART_INSIDE || (uint64_t)part->offset + (is_inside ? 1 : 16) > end || part->flag >= end)
            return broken("a shape");
        if (read_shape(&part->shape, inner, is_inside ? end - part->offset : part->size, depth + 1) < 0)
            return -1;
    }
    return 0;
}

/* From ((word, count_word, size, shape), …). */
static int read_arguments(Link *self, PyObject *arguments)
{
    const uint32_t words = LB_CALL_STACK + self->stack_words;
    const Py_ssize_t count = PyTuple_Size(arguments);
    if ((self->arguments = PyMem_Calloc((size_t)count + 1, sizeof *self->arguments)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        struct argument *argument = &self->arguments[i];
        PyObject *shape;
        self->argument_count++;
        if (!PyArg_ParseTuple(PyTuple_GetItem(arguments, i), "IIIO", &argument->word, &argument->count_word,
                              &argument->size, &shape))
            return -1;
        if (argument->word >= words || argument->count_word >= words)
            return broken("an argument");
        if (read_shape(&argument->shape, shape, argument->count_word != 0 ? 16 : argument->size, 0) < 0)
            return -1;
    }
    return 0;
}

static PyObject *link_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *caller, *gate, *meter, *failed, *keep, *result, *arguments;
    unsigned long long fallback;
    static char *names[] = {"caller", "gate", "meter", "failed", "fallback", "keep", "used", "context_word", "result", "arguments", NULL};
    Link *self = (Link *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    unsigned integers;
    if (self == NULL)
        return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O&O&O&OO&O(III)I(IIO)O!:Link", names, lb_as_pool_or_none, &caller,
                                     lb_as_gate, &gate, lb_as_meter, &meter, &failed, lb_as_uint64, &fallback, &keep,
                                     &integers, &self->vectors, &self->stack_words, &self->context_word,
                                     &self->result_word, &self->result_size, &result, &PyTuple_Type, &arguments))
        goto fail;
    if (caller == NULL || fallback == 0 || self->stack_words > MOST_STACK_WORDS || self->vectors > LB_CALL_VECTORS ||
        self->context_word >= LB_CALL_STACK || self->result_word >= LB_CALL_STACK + self->stack_words ||
        self->result_size > 1u << 16) {
        broken("a link");
        goto fail;
    }
    self->caller = (lb_pool_object *)Py_NewRef(caller);
    self->gate = (lb_gate_object *)Py_NewRef(gate);
    self->meter = (lb_meter_object *)Py_NewRef(meter);
    self->failed = Py_NewRef(failed);
    self->keep = Py_NewRef(keep);
    self->fallback = fallback;
    if (read_shape(&self->result, result, self->result_size, 0) < 0 || read_arguments(self, arguments) < 0)
        goto fail;
    if ((self->place = lb_place_take(self)) != NULL)
        return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static PyObject *link_point(PyObject *object, PyObject *args)
{
    Link *self = (Link *)object;
    PyObject *generation, *pool, *old[] = {self->generation, (PyObject *)self->pool};
    unsigned long long target;
    if (!PyArg_ParseTuple(args, "OO&O&:point", &generation, lb_as_pool_or_none, &pool, lb_as_uint64, &target))
        return NULL;
    if ((pool == NULL) != (target == 0))
        return PyErr_Format(PyExc_ValueError, "a pool and an address, or neither");
    self->target = target;
    self->pool = (lb_pool_object *)Py_XNewRef(pool);
    self->generation = Py_NewRef(generation);
    Py_XDECREF(old[0]);
    Py_XDECREF(old[1]);
    Py_RETURN_NONE;
}

static int link_traverse(PyObject *object, visitproc visit, void *arg)
{
    Link *self = (Link *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->caller);
    Py_VISIT(self->generation);
    Py_VISIT((PyObject *)self->pool);
    Py_VISIT((PyObject *)self->gate);
    Py_VISIT((PyObject *)self->meter);
    Py_VISIT(self->failed);
    Py_VISIT(self->keep);
    return 0;
}

static int link_clear(PyObject *object)
{
    Link *self = (Link *)object;
    if (self->place != NULL)
        lb_place_give_back(self->place);
    self->place = NULL;
    Py_CLEAR(self->caller);
    Py_CLEAR(self->generation);
    Py_CLEAR(self->pool);
    Py_CLEAR(self->gate);
    Py_CLEAR(self->meter);
    Py_CLEAR(self->failed);
    Py_CLEAR(self->keep);
    return 0;
}

static void link_free(PyObject *object)
{
    Link *self = (Link *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL)
        PyObject_ClearWeakRefs(object);
    link_clear(object);
    lb_shape_free(&self->result);
    for (uint32_t i = 0; i < self->argument_count; i++)
        lb_shape_free(&self->arguments[i].shape);
    PyMem_Free(self->arguments);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *link_address(PyObject *object, void *unused)
{
    const struct lb_place *place = ((Link *)object)->place;
    (void)unused;
    return PyLong_FromUnsignedLongLong(place == NULL ? 0 : lb_place_address(place));
}

static PyObject *link_is_direct(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((Link *)object)->pool != NULL);
}

static PyMethodDef methods[] = {
    {"point", link_point, METH_VARARGS,
     "point(generation, pool, address) -> None\n\n"
     "While `generation` serves, calls go to its function at `address`, and `pool` are its calls; with None and 0, and\n"
     "while another one serves, to the fallback.  Not while a call is inside that the old generation serves."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Link, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"address", link_address, NULL, "Where C calls it.", NULL},
    {"direct", link_is_direct, NULL, "Whether calls go to native code, and not to the fallback.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(link_doc,
    "Link(caller, gate, meter, failed, fallback, keep, used, context_word, result, arguments)\n--\n\n"
    "A C function by which a plugin with the calls `caller` reaches another one through its gate.\n\n"
    "`fallback` is the C function that does the same with the help of Python, `keep` what it belongs to; `used` are\n"
    "registers and stack words as in Function, `context_word` where the context travels, `result` is (word, size, shape)\n"
    "with word 0 for none, `arguments` are (word, word of the number or 0, size, shape) for those that hold addresses.\n"
    "A shape is ((kind, offset, flag, size, shape), …), enum lb_part_kind.  failed(call, status, caller, image) tells the\n"
    "caller of a call that failed, or of an answer `image` that cannot be read, and answers the caller's status.");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)link_new},
    {Py_tp_dealloc, (void *)link_free},
    {Py_tp_traverse, (void *)link_traverse},
    {Py_tp_clear, (void *)link_clear},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)link_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Link",
    .basicsize = sizeof(Link),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int lb_add_link(PyObject *module)
{
    link_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return link_type == NULL ? -1 : PyModule_AddType(module, link_type);
}
