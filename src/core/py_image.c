/* `_core.execute`, `_core.Object` and `_core.ExecuteError`: the Python face of execute.c.
 *
 * The plan is copied before it is checked, so that nobody changes it meanwhile; the interpreter lock is released while
 * it is executed and while constructors and destructors run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "module.h"

#include <structmember.h>

/* ---- ExecuteError --------------------------------------------------------------------------------------------------- */

static const char *const code_names[] = {
    [LB_OK] = "",
    [LB_MALFORMED] = "malformed",
    [LB_UNSUPPORTED] = "unsupported",
    [LB_UNRESOLVED] = "unresolved",
    [LB_SYSTEM] = "system",
    [LB_ABSENT] = "absent",
    [LB_CHANGED] = "changed",
};

static const char execute_error_doc[] =
    "A plan could not be executed, or the system's linker refused something; the process is as before.\n\n"
    "code: 'malformed', 'unsupported', 'unresolved', 'system', 'absent' or 'changed' (of a file).  object: index in the plan, -1 if none.  offset:\n"
    "virtual address in that object, 0 if none.  symbol: index in its dynamic symbol table, -1 if none.  errno: the\n"
    "system's error number, 0 if none.  detail: what is wrong, in words.";

static int set_field(PyObject *exception, const char *name, PyObject *value /* stolen */)
{
    int result = value == NULL ? -1 : PyObject_SetAttrString(exception, name, value);
    Py_XDECREF(value);
    return result;
}

static long long index_or_minus_one(uint32_t index) { return index == LB_NONE ? -1 : (long long)index; }

static PyObject *error_message(const struct lb_error *e)
{
    const char *separator = e->system_errno != 0 ? ": " : "", *reason = e->system_errno != 0 ? strerror(e->system_errno) : "";
    PyObject *detail = PyUnicode_DecodeFSDefault(e->detail), *message = NULL;
    if (detail == NULL)
        return NULL;
    if (e->object == LB_NONE)
        message = PyUnicode_FromFormat("%U%s%s", detail, separator, reason);
    else if (e->offset == 0)
        message = PyUnicode_FromFormat("object %u: %U%s%s", (unsigned)e->object, detail, separator, reason);
    else
        message = PyUnicode_FromFormat("object %u at %p: %U%s%s", (unsigned)e->object, lb_pointer(e->offset), detail,
                                       separator, reason);
    Py_DECREF(detail);
    return message;
}

PyObject *lb_raise(PyObject *module, const struct lb_error *e)
{
    PyObject *type = lb_attribute(module, "ExecuteError");
    PyObject *message = type == NULL ? NULL : error_message(e);
    PyObject *exception = message == NULL ? NULL : PyObject_CallFunctionObjArgs(type, message, NULL);
    if (exception != NULL && set_field(exception, "code", PyUnicode_FromString(code_names[e->code])) == 0 &&
        set_field(exception, "object", PyLong_FromLongLong(index_or_minus_one(e->object))) == 0 &&
        set_field(exception, "offset", PyLong_FromUnsignedLongLong(e->offset)) == 0 &&
        set_field(exception, "symbol", PyLong_FromLongLong(index_or_minus_one(e->symbol))) == 0 &&
        set_field(exception, "errno", PyLong_FromLong(e->system_errno)) == 0 &&
        set_field(exception, "detail", PyUnicode_DecodeFSDefault(e->detail)) == 0)
        PyErr_SetObject(type, exception);
    Py_XDECREF(exception);
    Py_XDECREF(message);
    Py_XDECREF(type);
    return NULL;
}

/* ---- Object ------------------------------------------------------------------------------------------------------------ */

struct object {
    PyObject_HEAD
    struct lb_image *image;
    unsigned long long base, start, span, tls_module, handle;
    long long tls_offset;
    bool has_tls_offset;
};

static const char object_doc[] =
    "One shared object that the core mapped.  It stays mapped until unmap(), even when nobody holds this Python object:\n"
    "addresses in it may be held by native code.\n\n"
    "base: runtime address = base + virtual address (modulo 2**64).  start, span: the reserved range, in bytes.\n"
    "tls_module: for __tls_get_addr, 0 without TLS.  tls_offset: from the thread pointer, None unless static.\n"
    "handle: what dlopen returns for it to native code.  thread_destructors: how many destructors of its thread_local\n"
    "objects wait for their threads to end.  threads: how many threads run that started in its code.\n"
    "frames_are_sound: whether its .eh_frame was walked and may be registered.";

static bool is_mapped(const struct object *self) { return self->image->span != 0; }

static PyObject *object_initialize(struct object *self, PyObject *unused)
{
    (void)unused;
    if (!is_mapped(self)) {
        PyErr_SetString(PyExc_ValueError, "the object is not mapped any more");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    lb_image_initialize(self->image);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *object_finalize(struct object *self, PyObject *unused)
{
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    lb_image_finalize(self->image);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *object_thread_destructors(struct object *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(__atomic_load_n(&self->image->thread_destructors, __ATOMIC_ACQUIRE));
}

static PyObject *object_threads(struct object *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(__atomic_load_n(&self->image->threads, __ATOMIC_ACQUIRE));
}

static PyObject *object_unmap(struct object *self, PyObject *unused)
{
    (void)unused;
    if (is_mapped(self) && __atomic_load_n(&self->image->thread_destructors, __ATOMIC_ACQUIRE) != 0) {
        PyErr_SetString(PyExc_ValueError, "destructors of its thread_local objects wait for their threads to end");
        return NULL;
    }
    if (is_mapped(self) && __atomic_load_n(&self->image->threads, __ATOMIC_ACQUIRE) != 0) {
        PyErr_SetString(PyExc_ValueError, "threads that started in its code run");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    lb_image_close(self->image);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *object_tls_offset(struct object *self, void *unused)
{
    (void)unused;
    if (!self->has_tls_offset)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(self->tls_offset);
}

static void object_dealloc(struct object *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->image != NULL && !is_mapped(self))
        lb_image_free(self->image);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef object_methods[] = {
    {"initialize", (PyCFunction)object_initialize, METH_NOARGS,
     "Run DT_INIT and DT_INIT_ARRAY with the program's (argc, argv, envp), unless that was done before.\n\n"
     "Raises ValueError after unmap()."},
    {"finalize", (PyCFunction)object_finalize, METH_NOARGS,
     "Run DT_FINI_ARRAY in reverse and DT_FINI, if initialize() ran and unless that was done before."},
    {"unmap", (PyCFunction)object_unmap, METH_NOARGS,
     "Withdraw the frames from the unwinder, the TLS block from the C library and the memory.  Runs no destructor.\n\n"
     "Idempotent.  Nothing may use an address in the object afterwards.\n"
     "Raises ValueError while thread_destructors or threads is not 0."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef object_members[] = {
    {"base", T_ULONGLONG, offsetof(struct object, base), READONLY, NULL},
    {"start", T_ULONGLONG, offsetof(struct object, start), READONLY, NULL},
    {"span", T_ULONGLONG, offsetof(struct object, span), READONLY, NULL},
    {"tls_module", T_ULONGLONG, offsetof(struct object, tls_module), READONLY, NULL},
    {"handle", T_ULONGLONG, offsetof(struct object, handle), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *object_frames_are_sound(struct object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->image->frames_are_sound);
}

static PyGetSetDef object_getset[] = {
    {"frames_are_sound", (getter)object_frames_are_sound, NULL, NULL, NULL},
    {"tls_offset", (getter)object_tls_offset, NULL, NULL, NULL},
    {"thread_destructors", (getter)object_thread_destructors, NULL, NULL, NULL},
    {"threads", (getter)object_threads, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot object_slots[] = {
    {Py_tp_doc, (void *)object_doc},
    {Py_tp_dealloc, (void *)object_dealloc},
    {Py_tp_methods, object_methods},
    {Py_tp_members, object_members},
    {Py_tp_getset, object_getset},
    {0, NULL},
};

static PyType_Spec object_spec = {
    .name = "latebind._core.Object",
    .basicsize = sizeof(struct object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = object_slots,
};

/* Takes over `image`. */
static PyObject *new_object(PyTypeObject *type, struct lb_image *image)
{
    struct object *self = PyObject_New(struct object, type);
    if (self == NULL)
        return NULL;
    self->image = image;
    self->base = image->base;
    self->start = image->start;
    self->span = image->span;
    self->tls_module = image->tls.module;
    self->handle = (unsigned long long)(uintptr_t)&image->map;
    self->tls_offset = image->tls.offset;
    self->has_tls_offset = image->tls.is_static;
    return (PyObject *)self;
}

/* ---- execute ------------------------------------------------------------------------------------------------------------- */

struct request { /* the arguments in C's terms */
    Py_buffer plan_view; /* obj is NULL where `copy` is the plan */
    void *copy;
    const void *plan;
    size_t plan_size;
    Py_ssize_t source_count, hook_count;
    struct lb_source *sources;
    Py_buffer *buffers; /* one per source; obj is NULL where the source is no buffer */
    uint64_t *hooks;
    char **paths; /* one per source; NULL where the system's linker is not asked for it */
    struct lb_arrival *arrivals;
};

static void release_request(struct request *r)
{
    for (Py_ssize_t i = 0; r->buffers != NULL && i < r->source_count; i++)
        PyBuffer_Release(&r->buffers[i]);
    PyBuffer_Release(&r->plan_view);
    free(r->copy);
    free(r->sources);
    free(r->buffers);
    free(r->hooks);
    for (Py_ssize_t i = 0; r->paths != NULL && i < r->source_count; i++)
        free(r->paths[i]);
    free(r->paths);
    free(r->arrivals);
}

/* A plan must be aligned to 8 bytes and must not change while it is executed: what is read-only is used where it is. */
static int take_plan(struct request *r, PyObject *plan)
{
    Py_buffer *view = &r->plan_view;
    if (PyObject_GetBuffer(plan, view, PyBUF_SIMPLE) < 0)
        return -1;
    r->plan = view->buf;
    r->plan_size = (size_t)view->len;
    if (view->readonly && (uintptr_t)view->buf % 8 == 0 && view->len != 0)
        return 0;
    r->copy = malloc(r->plan_size + 1);
    if (r->copy != NULL && view->len != 0)
        memcpy(r->copy, view->buf, r->plan_size);
    PyBuffer_Release(view);
    r->plan = r->copy;
    if (r->copy == NULL)
        PyErr_NoMemory();
    return r->copy == NULL ? -1 : 0;
}

static int take_present(struct lb_source *source, PyObject *tuple)
{
    PyObject *offset;
    unsigned long long base, module;
    if (!PyArg_ParseTuple(tuple, "O&O&O", lb_as_uint64, &base, lb_as_uint64, &module, &offset))
        return -1;
    *source = (struct lb_source){.kind = LB_SOURCE_PRESENT, .base = base, .tls_module = module};
    if (offset == Py_None)
        return 0;
    source->tls_is_static = true;
    source->tls_offset = PyLong_AsLongLong(offset);
    return PyErr_Occurred() ? -1 : 0;
}

/* The interpreter's object may go while the lock is released, so the path is copied. */
static int take_path(struct lb_source *source, char **copy, PyObject *value)
{
    PyObject *bytes;
    if (!PyUnicode_FSConverter(value, &bytes))
        return -1;
    *copy = strdup(PyBytes_AsString(bytes));
    Py_DECREF(bytes);
    *source = (struct lb_source){.kind = LB_SOURCE_SYSTEM, .path = *copy};
    return *copy != NULL ? 0 : (PyErr_NoMemory(), -1);
}

static int take_source(struct lb_source *source, Py_buffer *buffer, char **path, PyObject *value)
{
    if (PyUnicode_Check(value))
        return take_path(source, path, value);
    if (value == Py_None) {
        *source = (struct lb_source){.kind = LB_SOURCE_NAMED};
        return 0;
    }
    if (PyTuple_Check(value))
        return take_present(source, value);
    if (PyLong_Check(value)) {
        long fd = PyLong_AsLong(value);
        if (fd == -1 && PyErr_Occurred())
            return -1;
        if (fd < 0 || fd > INT_MAX) {
            PyErr_Format(PyExc_ValueError, "%ld is not a file descriptor", fd);
            return -1;
        }
        *source = (struct lb_source){.kind = LB_SOURCE_FILE, .fd = (int)fd};
        return 0;
    }
    if (PyObject_GetBuffer(value, buffer, PyBUF_SIMPLE) < 0)
        return -1;
    *source = (struct lb_source){.kind = LB_SOURCE_MEMORY, .bytes = buffer->buf, .size = (uint64_t)buffer->len};
    return 0;
}

static int take_sources(struct request *r, PyObject *sources)
{
    PyObject *list = PySequence_Tuple(sources);
    Py_ssize_t count = list == NULL ? 0 : PyTuple_Size(list);
    int result = list == NULL ? -1 : 0;
    r->sources = calloc((size_t)count + 1, sizeof *r->sources);
    r->buffers = calloc((size_t)count + 1, sizeof *r->buffers);
    r->paths = calloc((size_t)count + 1, sizeof *r->paths);
    r->arrivals = calloc((size_t)count + 1, sizeof *r->arrivals);
    r->source_count = count;
    if (r->sources == NULL || r->buffers == NULL || r->paths == NULL || r->arrivals == NULL) {
        PyErr_NoMemory();
        result = -1;
    }
    for (Py_ssize_t i = 0; i < count && result == 0; i++)
        result = take_source(&r->sources[i], &r->buffers[i], &r->paths[i], PyTuple_GetItem(list, i));
    Py_XDECREF(list);
    return result;
}

static int take_hooks(struct request *r, PyObject *hooks)
{
    PyObject *list = PySequence_Tuple(hooks);
    if (list == NULL)
        return -1;
    r->hook_count = PyTuple_Size(list);
    r->hooks = calloc((size_t)r->hook_count + 1, sizeof *r->hooks);
    int result = r->hooks == NULL ? -1 : 0;
    if (r->hooks == NULL)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < r->hook_count && result == 0; i++) {
        unsigned long long address;
        result = lb_as_uint64(PyTuple_GetItem(list, i), &address) ? 0 : -1;
        if (result == 0)
            r->hooks[i] = address;
    }
    Py_DECREF(list);
    return result;
}

static PyObject *wrap_arrival(PyObject *type, struct lb_arrival *arrival)
{
    if (arrival->image != NULL)
        return new_object((PyTypeObject *)type, arrival->image);
    if (arrival->system != NULL)
        return Py_BuildValue("(KK)", (unsigned long long)(uintptr_t)arrival->system,
                             (unsigned long long)arrival->system->l_addr);
    Py_RETURN_NONE;
}

/* Hands what has arrived over to a tuple, or takes it all back. */
static PyObject *wrap_arrivals(PyObject *module, struct request *r)
{
    PyObject *type = lb_attribute(module, "Object");
    PyObject *result = type == NULL ? NULL : PyTuple_New(r->source_count);
    for (Py_ssize_t i = 0; i < r->source_count && result != NULL; i++) {
        PyObject *item = wrap_arrival(type, &r->arrivals[i]);
        if (item == NULL || PyTuple_SetItem(result, i, item) < 0)
            Py_CLEAR(result); /* Objects made so far leave their images alone: they are mapped */
    }
    Py_XDECREF(type);
    for (Py_ssize_t i = 0; i < r->source_count && result == NULL; i++) {
        if (r->arrivals[i].image != NULL) {
            lb_image_close(r->arrivals[i].image);
            lb_image_free(r->arrivals[i].image);
        }
        if (r->arrivals[i].system != NULL)
            dlclose(r->arrivals[i].system);
    }
    return result;
}

static PyObject *execute_request(PyObject *module, struct request *r)
{
    struct lb_error error;
    int result;
    Py_BEGIN_ALLOW_THREADS
    result = lb_execute(r->plan, r->plan_size, r->sources, (uint64_t)r->source_count, r->hooks, (uint64_t)r->hook_count,
                        r->arrivals, &error);
    Py_END_ALLOW_THREADS
    if (result < 0)
        return lb_raise(module, &error);
    return wrap_arrivals(module, r);
}

static PyObject *execute(PyObject *module, PyObject *args)
{
    PyObject *plan, *sources, *hooks, *result = NULL;
    struct request request = {0};
    if (!PyArg_ParseTuple(args, "OOO:execute", &plan, &sources, &hooks))
        return NULL;
    if (take_plan(&request, plan) == 0 && take_sources(&request, sources) == 0 && take_hooks(&request, hooks) == 0)
        result = execute_request(module, &request);
    release_request(&request);
    return result;
}

/* ---- running_in ---------------------------------------------------------------------------------------------------------- */

static PyObject *counts(const uint32_t *numbers, Py_ssize_t count)
{
    PyObject *result = PyTuple_New(count);
    for (Py_ssize_t i = 0; i < count && result != NULL; i++) {
        PyObject *number = PyLong_FromUnsignedLong(numbers[i]);
        if (number == NULL || PyTuple_SetItem(result, i, number) < 0)
            Py_CLEAR(result);
    }
    return result;
}

static int take_images(PyObject *module, PyObject *tuple, struct lb_image **images)
{
    PyObject *type = PyObject_GetAttrString(module, "Object");
    int result = type == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < PyTuple_Size(tuple) && result == 0; i++) {
        PyObject *item = PyTuple_GetItem(tuple, i);
        result = PyObject_IsInstance(item, type);
        if (result == 1 && is_mapped((struct object *)item)) {
            images[i] = ((struct object *)item)->image;
            result = 0;
        } else if (result >= 0) {
            PyErr_SetString(PyExc_ValueError, "not an object that is mapped");
            result = -1;
        }
    }
    Py_XDECREF(type);
    return result;
}

static PyObject *running_in(PyObject *module, PyObject *objects)
{
    PyObject *tuple = PySequence_Tuple(objects), *result = NULL;
    size_t count = tuple == NULL ? 0 : (size_t)PyTuple_Size(tuple);
    struct lb_image **images = calloc(count + 1, sizeof *images);
    uint32_t *threads = calloc(count + 1, sizeof *threads);
    if (tuple != NULL && (images == NULL || threads == NULL)) {
        PyErr_NoMemory();
    } else if (tuple != NULL && take_images(module, tuple, images) == 0) {
        int found;
        Py_BEGIN_ALLOW_THREADS
        found = lb_threads_running(images, count, threads);
        Py_END_ALLOW_THREADS
        result = found < 0 ? PyErr_NoMemory() : counts(threads, (Py_ssize_t)count);
    }
    free(images);
    free(threads);
    Py_XDECREF(tuple);
    return result;
}

static PyObject *look_for_unwinder(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    Py_BEGIN_ALLOW_THREADS
    lb_announce_all();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"look_for_unwinder", look_for_unwinder, METH_NOARGS,
     "look_for_unwinder() -> None\n\n"
     "Find the process's unwinder, if it has one, and tell it about the frames of all Objects, as execute() does.  A load\n"
     "is quicker where that was done after the last object had come into the process."},
    {"running_in", running_in, METH_O,
     "running_in(objects) -> tuple[int, ...]\n\n"
     "In how many threads each of these mapped Objects has code on the stack, the calling thread among them.\n"
     "Of other threads' stacks a stale word may count.  Raises ValueError for one that is not mapped."},
    {"execute", execute, METH_VARARGS,
     "execute(plan, sources, hooks) -> tuple[Object | tuple[int, int] | None, ...]\n\n"
     "Let the system's linker load its objects of a packed plan (src/core/plan.h), and map, relocate and protect our own.\n"
     "No constructor of ours runs.\n\n"
     "sources: one per object of the plan: None for the file that the plan names, an open file descriptor (it stays\n"
     "yours), the file's bytes, or, for what is in the process already, (base, tls_module or 0, tls_offset or None);\n"
     "a path for what the system's linker has to load.\n"
     "hooks: addresses for hook bindings.\n"
     "Returns an Object for each object mapped, (handle, base) for each that the system's linker loaded, None for those\n"
     "that were present.\n"
     "Raises ExecuteError; then everything is undone."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &object_spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Object", type);
    Py_XDECREF(type);
    return result;
}

int lb_add_image(PyObject *module)
{
    PyObject *error = PyErr_NewExceptionWithDoc("latebind._core.ExecuteError", execute_error_doc, NULL, NULL);
    int result = error == NULL ? -1 : PyModule_AddObjectRef(module, "ExecuteError", error);
    Py_XDECREF(error);
    if (result < 0 || add_type(module) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
