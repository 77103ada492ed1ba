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
    void *start = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    FileMapping *self = (FileMapping *)alloc(type, 0);
    if (!self) {
        lb_unmap((uint64_t)(uintptr_t)start, (uint64_t)status.st_size);
        return NULL;
    }
    self->start = start;
    self->size = (Py_ssize_t)status.st_size;
    self->guarded = (struct lb_guarded){NULL, (uint64_t)(uintptr_t)start, (uint64_t)status.st_size};
    lb_guard(&self->guarded);
    return (PyObject *)self;
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

/* Device, inode, size in bytes and modification time in nanoseconds.  What changes in a folder does not matter to those
 * who ask, only whether it is there. */
static int identify(PyObject *path, long long identity[4])
{
    PyObject *bytes = NULL;
    struct stat status;
    identity[0] = identity[1] = identity[2] = identity[3] = -1;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) /* a NUL in the path: there is no such file */
            return -1;
        PyErr_Clear();
        return 0;
    }
    int result = stat(PyBytes_AsString(bytes), &status);
    Py_DECREF(bytes);
    if (result < 0)
        return 0;
    bool is_folder = S_ISDIR(status.st_mode);
    identity[0] = (long long)status.st_dev;
    identity[1] = (long long)status.st_ino;
    identity[2] = is_folder ? 0 : (long long)status.st_size;
    identity[3] = is_folder ? 0 : (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return 0;
}

static PyObject *identity_of(PyObject *path)
{
    long long identity[4];
    if (identify(path, identity) < 0)
        return NULL;
    return Py_BuildValue("(LLLL)", identity[0], identity[1], identity[2], identity[3]);
}

/* Whether `path` is as `before` says; -1 with an exception. */
static int is_unchanged(PyObject *path, PyObject *before)
{
    long long now[4], then[4];
    if (!PyArg_ParseTuple(before, "LLLL", &then[0], &then[1], &then[2], &then[3]) || identify(path, now) < 0)
        return -1;
    return memcmp(now, then, sizeof now) == 0;
}

static PyObject *first_change(PyObject *module, PyObject *args)
{
    PyObject *paths, *before;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!:first_change", &PyTuple_Type, &paths, &PyTuple_Type, &before))
        return NULL;
    Py_ssize_t count = PyTuple_Size(paths);
    if (PyTuple_Size(before) != count)
        return PyErr_SetString(PyExc_ValueError, "there must be as many identities as paths"), NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *each = PyTuple_GetItem(before, i);
        if (!PyTuple_Check(each))
            return PyErr_SetString(PyExc_TypeError, "an identity is a tuple"), NULL;
        int same = is_unchanged(PyTuple_GetItem(paths, i), each);
        if (same < 0)
            return NULL;
        if (!same)
            return PyLong_FromSsize_t(i);
    }
    Py_RETURN_NONE;
}

/* The bytes of an open file, `size` of them; None where it has become shorter or cannot be read. */
static PyObject *read_whole(int fd, off_t size)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    for (off_t at = 0; result && at < size;) {
        ssize_t got = pread(fd, PyBytes_AsString(result) + at, (size_t)(size - at), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            Py_DECREF(result);
            Py_RETURN_NONE;
        }
        at += got;
    }
    return result;
}

static PyObject *private_file(PyObject *module, PyObject *path)
{
    PyObject *bytes = NULL, *result = NULL;
    struct stat status;
    (void)module;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    int fd = open(PyBytes_AsString(bytes), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    Py_DECREF(bytes);
    if (fd < 0)
        Py_RETURN_NONE;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        !(status.st_mode & (S_IWGRP | S_IWOTH)))
        result = read_whole(fd, status.st_size);
    else
        result = Py_NewRef(Py_None);
    close(fd);
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
    {"first_change", first_change, METH_VARARGS,
     "first_change(paths: tuple[str, ...], before: tuple[tuple[int, int, int, int], ...], /)\n--\n\n"
     "The number of the first of the paths whose identity (`identities`) is not the one of before; None where all are."},
    {"private_file", private_file, METH_O,
     "private_file(path: str, /)\n--\n\n"
     "The bytes of a regular file that belongs to the user and that nobody else may write to; None where there is none\n"
     "or where it cannot be read.  A symbolic link is not followed."},
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
