/* `_core.FileMapping`: a file's bytes as a read-only buffer, without keeping a descriptor.
 *
 * Python's own mmap duplicates the descriptor and holds it as long as the mapping lives; a run over every library of a
 * machine would run out of them.  The mapping goes with the last buffer that looks into it. */
#define _GNU_SOURCE
#include "image.h"
#include "module.h"
#include "py_file.h"
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

static PyObject *make(PyTypeObject *type, void *start, size_t size)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    FileMapping *self = (FileMapping *)alloc(type, 0);
    if (!self)
        return NULL;
    self->start = start;
    self->size = (Py_ssize_t)size;
    self->guarded = (struct lb_guarded){NULL, (uint64_t)(uintptr_t)start, size};
    lb_guard(&self->guarded);
    return (PyObject *)self;
}

PyObject *lb_map_file(PyTypeObject *type, int fd, off_t size, int flags)
{
    void *start = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | flags, fd, 0);
    if (start == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *self = make(type, start, (size_t)size);
    if (!self)
        lb_unmap((uint64_t)(uintptr_t)start, (uint64_t)size);
    return self;
}

PyObject *lb_adopt_map(PyTypeObject *type, struct lb_guarded *map)
{
    PyObject *self = make(type, (void *)(uintptr_t)map->start, map->size);
    if (self) {
        lb_unguard(map);
        map->size = 0;
    }
    return self;
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
    return lb_map_file(type, fd, status.st_size, 0);
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

static PyObject *map_path(PyObject *module, PyObject *path)
{
    PyObject *bytes = NULL, *type = NULL, *result = NULL;
    struct stat status;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    int fd = open(PyBytes_AsString(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* or opening a pipe would wait for a writer */
    Py_DECREF(bytes);
    if (fd < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    if (fstat(fd, &status) < 0)
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    else if (!S_ISREG(status.st_mode) || status.st_size <= 0)
        result = Py_BuildValue("(ON)", Py_None, PyBool_FromLong(S_ISREG(status.st_mode)));
    else if ((type = lb_attribute(module, "FileMapping")) != NULL)
        result = Py_BuildValue("(N(KKKL))", lb_map_file((PyTypeObject *)type, fd, status.st_size, 0),
                               (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                               (unsigned long long)status.st_size,
                               (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    Py_XDECREF(type);
    close(fd);
    return result;
}

static PyMethodDef functions[] = {
    {"map_path", map_path, METH_O,
     "map_path(path, /)\n--\n\n"
     "Open, map and close a file: (FileMapping, (device, inode, size in bytes, modification time in nanoseconds)).  Where it\n"
     "is empty, (None, True); where it is no regular file, (None, False).  Raises OSError, ValueError for a NUL."},
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
