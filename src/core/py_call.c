/* A call: how a `_core.Function` (py_function.c) is called.  A frame gets the words of every argument (py_frame.c), lb_call
 * does the rest.  Nothing is called unless all fit. */
#include "py_function.h"

#include <errno.h>
#include <stdlib.h>

#include "py_running.h"

#define SMALL_WORDS (LB_CALL_STACK + 18) /* a call with more, or with more pointers, takes memory from the heap */

static __thread struct lb_thread this_thread;

struct lb_thread *lb_this_thread(void)
{
    return &this_thread;
}

static PyObject *wrong_count(const lb_function *self, Py_ssize_t count)
{
    return PyErr_Format(PyExc_TypeError, "%S: %S takes %s%u argument%s, not %zd", self->library, self->prototype,
                        self->is_variadic ? "at least " : "", (unsigned)self->given, self->given == 1 ? "" : "s", count);
}

int lb_jump(const lb_function *self, const struct lb_frame *frame, struct lb_results *results)
{
    struct lb_thread *thread = &this_thread;
    struct lb_running running = {.outer = thread->running, .holds_lock = !self->releases_lock};
    thread->running = &running;
    if (self->releases_lock) {
        PyThreadState *state = PyEval_SaveThread();
        errno = thread->saved_errno;
        lb_call(self->target, frame->words, frame->stack_words, frame->vectors | self->wide, results);
        thread->saved_errno = errno;
        PyEval_RestoreThread(state);
    } else {
        errno = thread->saved_errno;
        lb_call(self->target, frame->words, frame->stack_words, frame->vectors | self->wide, results);
        thread->saved_errno = errno;
    }
    thread->running = running.outer;
    if (__builtin_expect(running.type != NULL, 0)) {
        PyErr_Restore(running.type, running.value, running.trace);
        return -1;
    }
    return 0;
}

/* A call of a plain function: all that the others need has nothing to do here. */
static PyObject *call_plain(const lb_function *self, PyObject *const *arguments)
{
    _Alignas(16) uint64_t words[LB_CALL_STACK];
    Py_buffer buffers[LB_FEW_KEPT];
    PyObject *objects[LB_FEW_KEPT], *result = NULL;
    struct lb_frame frame = {words, NULL, {buffers, objects, 0, 0}, self->integers, self->vectors, 0};
    struct lb_results results;
    uint32_t done = 0;
    results.x87_count = 0;
    while (done < self->signature.count &&
           (lb_put_common(&self->signature.parameters[done], arguments[done], words) ||
            lb_put_argument(self, done, arguments[done], &frame) == 0))
        done++;
    if (done == self->signature.count && lb_jump(self, &frame, &results) == 0)
        result = lb_gather_plain(&self->signature.result, &results);
    if (frame.kept.buffer_count + frame.kept.object_count != 0)
        lb_kept_release(&frame.kept);
    return result;
}

static PyObject *complete(lb_function *self, PyObject *const *arguments, Py_ssize_t count, struct lb_frame *frame)
{
    struct lb_results results;
    PyObject *memory = NULL, *result = NULL;
    void *data;
    results.x87_count = self->signature.result.x87_count;
    if (self->signature.result.op == LB_RECORD) {
        memory = lb_memory_new(self->signature.result.class, self->signature.result.size, &data);
        if (memory == NULL)
            return NULL;
        results.indirect = (uint64_t)(uintptr_t)data;
        if (self->signature.result.flags & LB_MEMORY && self->signature.result.piece_count != 0)
            frame->words[self->signature.result.word] = results.indirect;
    }
    if (lb_put_arguments(self, arguments, count, frame) == 0 && lb_jump(self, frame, &results) == 0) {
        if (self->signature.result.flags & LB_MEMORY)
            result = Py_NewRef(memory);
        else
            result = lb_gather(&self->signature.result, &results, memory);
        if (self->outs != 0)
            result = lb_with_outs(self, result, frame);
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
    if (needed + (size_t)self->outs * LB_VALUE_WORDS > SMALL_WORDS || kept > LB_FEW_KEPT)
        return call_large(self, arguments, count, needed, kept + 1);
    Py_buffer buffers[LB_FEW_KEPT];
    PyObject *objects[LB_FEW_KEPT];
    struct lb_frame frame = {words, words + needed, {buffers, objects, 0, 0}, self->integers, self->vectors,
                          self->stack_words};
    return complete(self, arguments, count, &frame);
}

PyObject *lb_function_call(PyObject *callable, PyObject *const *arguments, size_t nargsf, PyObject *names)
{
    lb_function *self = (lb_function *)callable;
    const Py_ssize_t count = (Py_ssize_t)(nargsf & ~LB_ARGUMENTS_OFFSET);
    if (names != NULL && PyTuple_Size(names) != 0)
        return PyErr_Format(PyExc_TypeError, "%S: %S takes arguments by position, as in C", self->library,
                            self->prototype);
    if (count != (Py_ssize_t)self->given && !(self->is_variadic && count > (Py_ssize_t)self->given))
        return wrong_count(self, count);
    if (self->lifetime == NULL)
        return self->is_plain ? call_plain(self, arguments) : call_checked(self, arguments, count);
    lb_lifetime *lifetime = self->lifetime;
    if (lb_lifetime_enter(lifetime) < 0)
        return NULL;
    Py_INCREF((PyObject *)lifetime); /* the function object may be gone when the call returns */
    PyObject *result = self->is_plain ? call_plain(self, arguments) : call_checked(self, arguments, count);
    lb_lifetime_leave(lifetime);
    Py_DECREF((PyObject *)lifetime);
    return result;
}

/* tp_call, for those who have a tuple and a dictionary; PyVectorcall_Call is not in the limited API of 3.11. */
PyObject *lb_function_call_tuple(PyObject *callable, PyObject *args, PyObject *kwargs)
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
    PyObject *result = lb_function_call(callable, arguments, (size_t)count, NULL);
    PyMem_Free(arguments);
    return result;
}

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

PyMethodDef lb_errno_functions[] = {
    {"get_errno", get_errno, METH_NOARGS, "get_errno() -> int\n\nThe errno that this thread's last call left."},
    {"set_errno", set_errno, METH_VARARGS,
     "set_errno(value) -> int\n\nThe errno that this thread's next call finds; gives the old one."},
    {NULL, NULL, 0, NULL},
};
