/* `_core.FileMapping`: a file's bytes as a read-only buffer, without keeping a descriptor.
 *
 * Python's own mmap duplicates the descriptor and holds it as long as the mapping lives; a run over every library of a
 * machine would run out of them.  The mapping goes with the last buffer that looks into it. */
#include "checksum.h"
#include "module.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef struct {
    PyObject_HEAD
    void *start;
    Py_ssize_t size;
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
        munmap(start, (size_t)status.st_size);
        return NULL;
    }
    self->start = start;
    self->size = (Py_ssize_t)status.st_size;
    return (PyObject *)self;
}

static void mapping_free(PyObject *object)
{
    FileMapping *self = (FileMapping *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->start)
        munmap(self->start, (size_t)self->size);
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

static PyMethodDef functions[] = {
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
