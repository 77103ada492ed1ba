/* `_core.FileMapping`: a file's bytes as a read-only buffer, without keeping a descriptor.
 *
 * Python's own mmap duplicates the descriptor and holds it as long as the mapping lives; a run over every library of a
 * machine would run out of them.  The mapping goes with the last buffer that looks into it. */
#include "checksum.h"
#include "image.h"
#include "module.h"
#include "shrunk.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

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
static PyObject *identity_of(PyObject *path)
{
    PyObject *bytes = NULL;
    struct stat status;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) /* a NUL in the path: there is no such file */
            return NULL;
        PyErr_Clear();
        return Py_BuildValue("(iiii)", -1, -1, -1, -1);
    }
    int result = stat(PyBytes_AsString(bytes), &status);
    Py_DECREF(bytes);
    if (result < 0)
        return Py_BuildValue("(iiii)", -1, -1, -1, -1);
    bool is_folder = S_ISDIR(status.st_mode);
    long long when = (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return Py_BuildValue("(KKLL)", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                         is_folder ? 0 : (long long)status.st_size, is_folder ? 0 : when);
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
