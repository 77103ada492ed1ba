/* `_core.Callback`: a Python function that C calls, through a stub (stubs.h) that leads to lb_callback_entry.
 *
 * An exception cannot pass through C.  During a call that Python made (py_call.c) it waits until that returns, and is
 * raised there; otherwise it is reported as unraisable.  The C code gets a result of zeros. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "py_closure.h"
#include "py_link.h"
#include "py_running.h"
#include "py_value.h"
#include "stubs.h"

#define STUBS_AT_ONCE 256u
#define FEW 5 /* arguments that are passed without a tuple */

struct lb_place {
    struct lb_place *next;
    struct lb_stubs *stubs;
    uint32_t index;
};

/* Places that are free, oldest first: one that was just given back is not used again soon, so that a call through an old
 * address ends with a message rather than in another callback. */
static struct {
    pthread_mutex_t lock;
    struct lb_place *first, **end;
} pool = {PTHREAD_MUTEX_INITIALIZER, NULL, &pool.first};

typedef struct {
    PyObject_HEAD
    PyObject *prototype, *function;
    struct lb_place *place;
    struct lb_signature signature;
    bool raises_at_call;
} Callback;

static void ended(void)
{
    static const char text[] = "latebind: C code called a callback that Python has let go of\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nobody to tell */
    }
    abort();
}

static int add_places(void)
{
    struct lb_error error;
    struct lb_stubs *stubs = malloc(sizeof *stubs);
    struct lb_place *places = calloc(STUBS_AT_ONCE, sizeof *places);
    if (stubs == NULL || places == NULL || lb_stubs_make(stubs, STUBS_AT_ONCE, NULL, NULL, &error) < 0) {
        free(stubs);
        free(places);
        return -1;
    }
    for (uint32_t i = 0; i < STUBS_AT_ONCE; i++) {
        places[i] = (struct lb_place){NULL, stubs, i};
        *pool.end = &places[i];
        pool.end = &places[i].next;
    }
    return 0;
}

struct lb_place *lb_place_take(void *closure)
{
    pthread_mutex_lock(&pool.lock);
    struct lb_place *place = pool.first != NULL || add_places() == 0 ? pool.first : NULL;
    if (place != NULL) {
        pool.first = place->next;
        if (pool.first == NULL)
            pool.end = &pool.first;
        place->next = NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    if (place == NULL) {
        PyErr_SetString(PyExc_MemoryError, "no executable memory for a callback");
        return NULL;
    }
    struct lb_stub *record = &place->stubs->records[place->index];
    __atomic_store_n(&record->target, (uint64_t)(uintptr_t)closure, __ATOMIC_RELEASE);
    __atomic_store_n(&record->entry, (uint64_t)(uintptr_t)lb_callback_entry, __ATOMIC_RELEASE);
    return place;
}

uint64_t lb_place_address(const struct lb_place *place)
{
    return lb_stub_address(place->stubs, place->index);
}

void lb_place_give_back(struct lb_place *place)
{
    lb_stub_point(place->stubs, place->index, (uint64_t)(uintptr_t)ended);
    pthread_mutex_lock(&pool.lock);
    *pool.end = place;
    pool.end = &place->next;
    pthread_mutex_unlock(&pool.lock);
}

/* from C --------------------------------------------------------------------------------------------------------------- */

static PyObject *argument(const struct lb_slot *slot, const uint64_t *registers, const uint64_t *stack)
{
    uint64_t wide[LB_VALUE_WORDS] = {0};
    void *bytes = wide;
    PyObject *record = slot->op == LB_RECORD ? lb_memory_new(slot->class, slot->size, &bytes) : NULL;
    if (slot->op == LB_RECORD && record == NULL)
        return NULL;
    for (uint32_t i = 0; i < slot->piece_count; i++) {
        const struct lb_piece *piece = &slot->pieces[i];
        const uint64_t *from = piece->word < LB_CALL_STACK ? registers + piece->word : stack + (piece->word - LB_CALL_STACK);
        if (slot->flags & LB_REFERENCE)
            memcpy(bytes, (const void *)(uintptr_t)*from, slot->size);
        else
            memcpy((uint8_t *)bytes + piece->offset, from, piece->size);
    }
    return record != NULL ? record : lb_value_load(slot->op, bytes, slot->class);
}

static PyObject *call_python(const Callback *self, const uint64_t *registers, const uint64_t *stack)
{
    PyObject *few[FEW + 1] = {NULL}, *all = NULL, *result = NULL;
    if (self->signature.count > FEW && (all = PyTuple_New((Py_ssize_t)self->signature.count)) == NULL)
        return NULL;
    for (uint32_t i = 0; i < self->signature.count; i++) {
        PyObject *value = argument(&self->signature.parameters[i], registers, stack);
        if (value == NULL)
            goto done;
        if (all != NULL)
            PyTuple_SetItem(all, (Py_ssize_t)i, value);
        else
            few[i] = value;
    }
    if (all != NULL)
        result = PyObject_CallObject(self->function, all);
    else if (few[0] == NULL)
        result = PyObject_CallNoArgs(self->function);
    else /* ends at the first NULL */
        result = PyObject_CallFunctionObjArgs(self->function, few[0], few[1], few[2], few[3], few[4], NULL);
done:
    for (int i = 0; i < FEW && few[i] != NULL; i++)
        Py_DECREF(few[i]);
    Py_XDECREF(all);
    return result;
}

static int pointer_result(PyObject *value, uint64_t *word)
{
    if (value == Py_None) {
        *word = 0;
        return 0;
    }
    if (lb_is_function(value))
        return lb_function_address(value, word);
    unsigned long long address;
    if (!PyLong_Check(value)) { /* a buffer would be gone when the caller looks at it */
        PyObject *kind = PyType_GetName(Py_TYPE(value));
        if (kind != NULL)
            PyErr_Format(PyExc_TypeError, "expected an address or None, not %U", kind);
        Py_XDECREF(kind);
        return -1;
    }
    if (!lb_as_uint64(value, &address))
        return -1;
    *word = address;
    return 0;
}

/* The result's bytes to where the caller expects them. */
static int put_result(const Callback *self, PyObject *value, struct lb_results *results)
{
    const struct lb_slot *slot = &self->signature.result;
    uint64_t wide[LB_VALUE_WORDS] = {0};
    void *bytes = wide;
    size_t size = slot->size;
    bool is_readonly;
    if (slot->op == LB_VOID)
        return 0;
    if (slot->op == LB_TEXT || slot->op == LB_POINTER) {
        if (pointer_result(value, wide) < 0)
            return -1;
    } else if (slot->op == LB_RECORD) {
        if (!lb_is_memory(value) || PyObject_IsInstance(value, slot->class) != 1) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "expected a %S", slot->type);
            return -1;
        }
        if (lb_memory_data(value, &bytes, &size, &is_readonly) < 0)
            return -1;
        if (size != slot->size) {
            PyErr_Format(PyExc_ValueError, "%S has %u bytes, not %zu", slot->type, (unsigned)slot->size, size);
            return -1;
        }
    } else if (lb_scalar_to_words(slot->op, slot->type, value, wide) < 0) {
        return -1;
    }
    if (slot->flags & LB_MEMORY) {
        memcpy((void *)(uintptr_t)results->indirect, bytes, size);
        return 0;
    }
    if (slot->op != LB_RECORD && slot->piece_count == 1 && slot->size <= 8) {
        results->words[slot->word] = wide[0]; /* extended to the whole word; vectors follow the integers */
        return 0;
    }
    for (uint32_t i = 0; i < slot->piece_count; i++)
        memcpy(results->words + slot->pieces[i].word, (const uint8_t *)bytes + slot->pieces[i].offset,
               slot->pieces[i].size);
    return 0;
}

/* Say whose result the pending exception is about. */
static void wrong_result(const Callback *self)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *place = PyUnicode_FromFormat("%S, result of %R", self->prototype, self->function);
    PyErr_Restore(type, value, trace);
    lb_error_at(place);
}

/* The pending exception: to the call that is under way, or out. */
static void report(const Callback *self, struct lb_running *running)
{
    if (running == NULL || !self->raises_at_call || running->type != NULL) {
        PyErr_WriteUnraisable(self->function);
        return;
    }
    PyErr_Fetch(&running->type, &running->value, &running->trace);
    running->failed = self;
}

void lb_callback_run(void *closure, const uint64_t *registers, const uint64_t *stack, struct lb_results *results)
{
    if (lb_is_link(closure)) {
        lb_link_run(closure, registers, stack, results);
        return;
    }
    Callback *self = closure;
    struct lb_thread *thread = lb_this_thread();
    struct lb_running *running = thread->running;
    const int callers_errno = errno;
    memset(results->words, 0, sizeof results->words); /* `indirect` came with the call */
    results->x87_count = self->signature.result.x87_count;
    if (self->signature.result.flags & LB_MEMORY) {
        if (self->signature.result.piece_count != 0)
            results->words[0] = results->indirect = registers[self->signature.result.word]; /* the caller gets its address back */
        memset((void *)(uintptr_t)results->indirect, 0, self->signature.result.size);
    }
    if (!Py_IsInitialized() || (running != NULL && running->failed == self))
        return;
    thread->saved_errno = callers_errno;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *type, *value, *trace; /* the caller may be about to raise something itself */
    PyErr_Fetch(&type, &value, &trace);
    Py_INCREF((PyObject *)self);
    PyObject *result = call_python(self, registers, stack);
    bool is_good = result != NULL;
    if (is_good && put_result(self, result, results) < 0) {
        is_good = false;
        wrong_result(self);
    }
    if (!is_good)
        report(self, running);
    Py_XDECREF(result);
    PyErr_Restore(type, value, trace);
    Py_DECREF((PyObject *)self);
    PyGILState_Release(state);
    errno = thread->saved_errno;
}

/* the object ----------------------------------------------------------------------------------------------------------- */

static PyObject *callback_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *prototype, *function, *result, *parameters;
    unsigned integers, vectors, stack_words;
    int raises_at_call;
    static char *names[] = {"prototype", "function", "result", "parameters", "used", "raises_at_call", NULL};
    Callback *self = (Callback *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO!O!(III)p:Callback", names, &prototype, &function, &PyTuple_Type,
                                     &result, &PyTuple_Type, &parameters, &integers, &vectors, &stack_words,
                                     &raises_at_call))
        goto fail;
    self->prototype = Py_NewRef(prototype);
    self->function = Py_NewRef(function);
    self->raises_at_call = raises_at_call;
    if (stack_words > LB_MOST_STACK_WORDS || lb_signature_read(&self->signature, result, parameters, stack_words) < 0)
        goto fail;
    self->place = lb_place_take(self);
    if (self->place == NULL)
        goto fail;
    return (PyObject *)self;
fail:
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a broken description of a callback");
    Py_DECREF(self);
    return NULL;
}

static int callback_traverse(PyObject *object, visitproc visit, void *arg)
{
    Callback *self = (Callback *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->prototype);
    Py_VISIT(self->function);
    return lb_signature_visit(&self->signature, visit, arg);
}

static int callback_clear(PyObject *object)
{
    Callback *self = (Callback *)object;
    if (self->place != NULL)
        lb_place_give_back(self->place);
    self->place = NULL;
    Py_CLEAR(self->prototype);
    Py_CLEAR(self->function);
    lb_signature_clear(&self->signature);
    return 0;
}

static void callback_free(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    callback_clear(object);
    lb_signature_free(&((Callback *)object)->signature);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *callback_address(PyObject *object, void *unused)
{
    const struct lb_place *place = ((Callback *)object)->place;
    (void)unused;
    return PyLong_FromUnsignedLongLong(place == NULL ? 0 : lb_place_address(place));
}

static PyObject *callback_repr(PyObject *object)
{
    const Callback *self = (const Callback *)object;
    const uint64_t address = self->place == NULL ? 0 : lb_place_address(self->place);
    return PyUnicode_FromFormat("<Callback %S: %R at %p>", self->prototype, self->function, (void *)(uintptr_t)address);
}

static PyMemberDef members[] = {
    {"prototype", T_OBJECT, offsetof(Callback, prototype), READONLY, "What C passes and expects."},
    {"function", T_OBJECT, offsetof(Callback, function), READONLY, "The Python function."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"address", callback_address, NULL, "Where C calls it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(callback_doc,
    "A Python function as a C function; `address` is where C code calls it, as long as this object lives.\n\n"
    "Any thread may call it; the interpreter lock is taken for the call.");

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)callback_new},
    {Py_tp_dealloc, (void *)callback_free},
    {Py_tp_traverse, (void *)callback_traverse},
    {Py_tp_clear, (void *)callback_clear},
    {Py_tp_repr, (void *)callback_repr},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)callback_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.Callback",
    .basicsize = sizeof(Callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int lb_add_closure(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return result;
}
