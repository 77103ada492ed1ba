/* `_core.summarize`: summary.c for Python.  latebind/elf/summary.py is its only user. */
#include "module.h"
#include "summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

PyDoc_STRVAR(summarize_doc,
    "summarize(path, known, /)\n--\n\n"
    "What a search must know of the file at `path`, as a tuple; False where there is no such file, None where it cannot\n"
    "be had for another reason or is not plain.\n"
    "`known` is a dict by (device, inode): a file that is in it is not read, the value is returned.");
PyDoc_STRVAR(summarize_bytes_doc,
    "summarize_bytes(data, identity, /)\n--\n\n"
    "The same of a file's bytes; `identity` is put into the tuple.");

static PyObject *text_of(const struct lb_summary *summary, const struct lb_string *string)
{
    if (!string->is_there)
        return Py_NewRef(Py_None);
    return PyUnicode_DecodeUTF8(summary->text + string->start, string->length, "surrogateescape");
}

/* As latebind.elf's `Dynamic.needed`: without a string table each name is the empty string. */
static PyObject *needed_of(const struct lb_summary *summary)
{
    PyObject *names = PyTuple_New(summary->needed_count);
    for (uint32_t i = 0; names && i < summary->needed_count; i++) {
        const struct lb_string *string = &summary->needed[i];
        PyObject *name = PyUnicode_DecodeUTF8(summary->text + string->start, string->length, "surrogateescape");
        if (name)
            PyUnicode_InternInPlace(&name); /* the same names come again in every file */
        if (!name || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

/* Takes the reference to `identity`, which may be NULL with an exception set. */
static PyObject *tuple_of(const struct lb_summary *s, PyObject *identity)
{
    PyObject *interpreter = text_of(s, &s->interpreter), *needed = needed_of(s), *soname = text_of(s, &s->soname);
    PyObject *rpath = text_of(s, &s->rpath), *runpath = text_of(s, &s->runpath);
    PyObject *result = NULL;
    if (identity && interpreter && needed && soname && rpath && runpath)
        result = Py_BuildValue(
            "OiiiiiOOOOOKKOO", identity, s->elf_class, s->data, s->os_abi, s->type, s->machine, interpreter, needed,
            soname, rpath, runpath, (unsigned long long)s->flags, (unsigned long long)s->flags_1,
            s->is_dynamic ? Py_True : Py_False, s->has_dlopen_note ? Py_True : Py_False);
    Py_XDECREF(identity);
    Py_XDECREF(interpreter);
    Py_XDECREF(needed);
    Py_XDECREF(soname);
    Py_XDECREF(rpath);
    Py_XDECREF(runpath);
    return result;
}

static PyObject *identity_of(const struct stat *status)
{
    long long time = (long long)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    return Py_BuildValue("KKKL", (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
                         (unsigned long long)status->st_size, time);
}

/* What `known` has for the file, as a new reference; NULL without an exception where it has nothing. */
static PyObject *known_file(PyObject *known, const struct stat *status)
{
    PyObject *key = Py_BuildValue("(KK)", (unsigned long long)status->st_dev, (unsigned long long)status->st_ino);
    PyObject *found = key ? PyDict_GetItemWithError(known, key) : NULL;
    Py_XINCREF(found);
    Py_XDECREF(key);
    return found;
}

static PyObject *summarize_file(int fd, PyObject *known)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return Py_NewRef(Py_None);
    PyObject *result = known_file(known, &status);
    if (result || PyErr_Occurred())
        return result;
    struct lb_source source;
    struct lb_summary *summary = malloc(sizeof *summary);
    if (!summary)
        return PyErr_NoMemory();
    lb_source_open(&source, fd, (uint64_t)status.st_size);
    if (lb_summarize(&source, summary))
        result = tuple_of(summary, identity_of(&status));
    else
        result = Py_NewRef(Py_None);
    free(summary);
    return result;
}

static PyObject *summarize(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *path, *known;
    if (!PyArg_ParseTuple(args, "O&O!:summarize", PyUnicode_FSConverter, &path, &PyDict_Type, &known))
        return NULL;
    /* Without O_NONBLOCK, opening a pipe would wait for a writer. */
    int fd = open(PyBytes_AsString(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = errno;
    Py_DECREF(path);
    if (fd < 0)
        return Py_NewRef(error == ENOENT || error == ENOTDIR ? Py_False : Py_None);
    PyObject *result = summarize_file(fd, known);
    close(fd);
    return result;
}

static PyObject *summarize_bytes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer buffer;
    PyObject *identity;
    if (!PyArg_ParseTuple(args, "y*O:summarize_bytes", &buffer, &identity))
        return NULL;
    PyObject *result = NULL;
    struct lb_source source = {.data = buffer.buf, .fd = -1, .size = (uint64_t)buffer.len};
    struct lb_summary *summary = malloc(sizeof *summary);
    if (!summary)
        PyErr_NoMemory();
    else if (!lb_summarize(&source, summary))
        result = Py_NewRef(Py_None);
    else
        result = tuple_of(summary, Py_NewRef(identity));
    free(summary);
    PyBuffer_Release(&buffer);
    return result;
}

static PyMethodDef functions[] = {
    {"summarize", summarize, METH_VARARGS, summarize_doc},
    {"summarize_bytes", summarize_bytes, METH_VARARGS, summarize_bytes_doc},
    {NULL, NULL, 0, NULL},
};

int lb_add_summary(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
