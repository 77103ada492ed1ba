/* `_core.FileMapping`: a file's bytes as a read-only buffer, without keeping a descriptor.
 *
 * Python's own mmap duplicates the descriptor and holds it as long as the mapping lives; a run over every library of a
 * machine would run out of them.  The mapping goes with the last buffer that looks into it. */
#define _GNU_SOURCE
#include "checksum.h"
#include "image.h"
#include "module.h"
#include "shrunk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    void *start;
    Py_ssize_t size;
    struct lb_guarded guarded;
} FileMapping;

PyDoc_STRVAR(mapping_doc,
    "FileMapping(fd)\n--\n\n"
    "The bytes of the open regular file `fd`, which may be closed afterwards. Supports the buffer protocol.\n"
    "Raises OSError where the file is empty (EINVAL) or cannot be mapped.");

static PyObject *map_file(PyTypeObject *type, int fd, off_t size, int flags)
{
    void *start = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | flags, fd, 0);
    if (start == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    FileMapping *self = (FileMapping *)alloc(type, 0);
    if (!self) {
        lb_unmap((uint64_t)(uintptr_t)start, (uint64_t)size);
        return NULL;
    }
    self->start = start;
    self->size = (Py_ssize_t)size;
    self->guarded = (struct lb_guarded){NULL, (uint64_t)(uintptr_t)start, (uint64_t)size};
    lb_guard(&self->guarded);
    return (PyObject *)self;
}

static PyObject *mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int fd;
    struct stat status;
    static char *names[] = {"fd", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i", names, &fd))
        return NULL;
    if (fstat(fd, &status) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (!S_ISREG(status.st_mode) || status.st_size <= 0 || status.st_size > PY_SSIZE_T_MAX) {
        errno = EINVAL;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return map_file(type, fd, status.st_size, 0);
}

static void mapping_free(PyObject *object)
{
    FileMapping *self = (FileMapping *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->start) {
        lb_unguard(&self->guarded); /* first: another mapping may take its place at once */
        lb_unmap((uint64_t)(uintptr_t)self->start, (uint64_t)self->size);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int mapping_buffer(PyObject *object, Py_buffer *view, int flags)
{
    FileMapping *self = (FileMapping *)object;
    return PyBuffer_FillInfo(view, object, self->start, self->size, 1, flags);
}

static Py_ssize_t mapping_length(PyObject *object)
{
    return ((FileMapping *)object)->size;
}

static PyObject *checksum(PyObject *module, PyObject *args)
{
    Py_buffer view;
    unsigned long long seed = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*|K:checksum", &view, &seed))
        return NULL;
    uint64_t sum = lb_checksum(view.buf, (uint64_t)view.len, seed);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLongLong(sum);
}

/* Device, inode, size in bytes and modification time in nanoseconds; four times -1 where there is nothing.  What changes
 * in a folder does not matter to those who ask, only whether it is there. */
static void identify(const char *path, int64_t identity[4])
{
    struct stat status;
    identity[0] = identity[1] = identity[2] = identity[3] = -1;
    if (stat(path, &status) < 0)
        return;
    bool is_folder = S_ISDIR(status.st_mode);
    identity[0] = (int64_t)status.st_dev;
    identity[1] = (int64_t)status.st_ino;
    identity[2] = is_folder ? 0 : (int64_t)status.st_size;
    identity[3] = is_folder ? 0 : (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}

static PyObject *identity_of(PyObject *path)
{
    int64_t identity[4] = {-1, -1, -1, -1};
    PyObject *bytes = NULL;
    if (PyUnicode_FSConverter(path, &bytes)) {
        identify(PyBytes_AsString(bytes), identity);
        Py_DECREF(bytes);
    } else if (PyErr_ExceptionMatches(PyExc_ValueError)) { /* a NUL in the path: there is no such file */
        PyErr_Clear();
    } else {
        return NULL;
    }
    return Py_BuildValue("(LLLL)", (long long)identity[0], (long long)identity[1], (long long)identity[2],
                         (long long)identity[3]);
}

/* Evidence is a row of records: an identity and a path that ends with a NUL.  The number of the first path that is not as
 * its record says; -1: none; -2: these are no records. */
static Py_ssize_t find_change(const char *at, const char *end)
{
    for (Py_ssize_t number = 0; at != end; number++) {
        int64_t then[4], now[4];
        const char *path = at + sizeof then;
        const char *stop = (size_t)(end - at) > sizeof then ? memchr(path, 0, (size_t)(end - path)) : NULL;
        if (stop == NULL)
            return -2;
        memcpy(then, at, sizeof then);
        identify(path, now);
        if (memcmp(then, now, sizeof then) != 0)
            return number;
        at = stop + 1;
    }
    return -1;
}

static PyObject *first_change(PyObject *module, PyObject *evidence)
{
    Py_buffer view;
    Py_ssize_t number;
    (void)module;
    if (PyObject_GetBuffer(evidence, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const char *start = view.buf;
    Py_BEGIN_ALLOW_THREADS
    number = find_change(start, start + view.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    if (number == -2)
        return PyErr_SetString(PyExc_ValueError, "these are no records of evidence"), NULL;
    if (number == -1)
        Py_RETURN_NONE;
    return PyLong_FromSsize_t(number);
}

#define SMALL_FILE 65536 /* mapping a smaller one takes longer than copying it */

static PyObject *read_file(int fd, off_t size)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    for (off_t at = 0; result && at < size;) {
        ssize_t got = pread(fd, PyBytes_AsString(result) + at, (size_t)(size - at), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) { /* it has become shorter, or cannot be read */
            Py_DECREF(result);
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        at += got;
    }
    return result;
}

static PyObject *take_file(PyObject *module, int fd, off_t size)
{
    if (size <= SMALL_FILE)
        return read_file(fd, size);
    PyObject *type = lb_attribute(module, "FileMapping");
    PyObject *result = type != NULL ? map_file((PyTypeObject *)type, fd, size, MAP_POPULATE) : NULL;
    Py_XDECREF(type);
    return result;
}

static PyObject *private_file(PyObject *module, PyObject *path)
{
    PyObject *bytes = NULL, *result = NULL;
    struct stat status;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    int fd = open(PyBytes_AsString(bytes), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    Py_DECREF(bytes);
    if (fd < 0)
        Py_RETURN_NONE;
    bool is_private = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
                      status.st_uid == geteuid() && !(status.st_mode & (S_IWGRP | S_IWOTH));
    if (is_private)
        result = take_file(module, fd, status.st_size);
    close(fd);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_OSError))
        PyErr_Clear();
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

static PyObject *identities(PyObject *module, PyObject *paths)
{
    Py_ssize_t count = PyTuple_Check(paths) ? PyTuple_Size(paths) : (PyErr_BadArgument(), -1);
    PyObject *found = count < 0 ? NULL : PyTuple_New(count);
    (void)module;
    for (Py_ssize_t i = 0; found && i < count; i++) {
        PyObject *identity = identity_of(PyTuple_GetItem(paths, i));
        if (!identity || PyTuple_SetItem(found, i, identity) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyMethodDef functions[] = {
    {"identities", identities, METH_O,
     "identities(paths: tuple[str, ...], /)\n--\n\n"
     "What stat(2) says is at each path: (device, inode, size in bytes, modification time in nanoseconds), the last two 0\n"
     "for a folder, and four times -1 where there is nothing."},
    {"first_change", first_change, METH_O,
     "first_change(evidence, /)\n--\n\n"
     "Evidence is a row of records: an identity (`identities`), four signed numbers of 64 bits, and a path that ends with\n"
     "a NUL.  The number of the first record whose path has another identity now; None where there is none.\n"
     "Raises ValueError for what is no such row."},
    {"private_file", private_file, METH_O,
     "private_file(path: str, /)\n--\n\n"
     "The bytes of a regular file that is not empty, belongs to the user, and that nobody else may write to, or a mapping\n"
     "of a larger one; None where there is none or where it cannot be read.  A symbolic link is not followed."},
    {"checksum", checksum, METH_VARARGS,
     "checksum(data, seed=0) -> int\n\n64 bits that tell whether `data` was damaged; no cryptographic hash."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)mapping_new},
    {Py_tp_dealloc, (void *)mapping_free},
    {Py_bf_getbuffer, (void *)mapping_buffer},
    {Py_sq_length, (void *)mapping_length},
    {Py_tp_doc, (void *)mapping_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "latebind._core.FileMapping",
    .basicsize = sizeof(FileMapping),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lb_add_file(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status < 0 ? status : PyModule_AddFunctions(module, functions);
}
