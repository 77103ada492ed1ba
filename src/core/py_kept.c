/* Kept plans for Python: reading an entry and looking at its evidence (kept.h), in one call where a library is loaded. */
#define _GNU_SOURCE
#include "checksum.h"
#include "kept.h"
#include "module.h"
#include "py_file.h"
#include "py_record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- evidence ------------------------------------------------------------------------------------------------------ */

static PyObject *identity_of(PyObject *path)
{
    int64_t identity[4] = {-1, -1, -1, -1};
    PyObject *bytes = NULL;
    if (PyUnicode_FSConverter(path, &bytes)) {
        lb_identify(PyBytes_AsString(bytes), identity);
        Py_DECREF(bytes);
    } else if (PyErr_ExceptionMatches(PyExc_ValueError)) { /* a NUL in the path: there is no such file */
        PyErr_Clear();
    } else {
        return NULL;
    }
    return Py_BuildValue("(LLLL)", (long long)identity[0], (long long)identity[1], (long long)identity[2],
                         (long long)identity[3]);
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

static PyObject *first_change(PyObject *module, PyObject *evidence)
{
    Py_buffer view;
    int64_t number;
    (void)module;
    if (PyObject_GetBuffer(evidence, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    number = lb_first_change(view.buf, (size_t)view.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    if (number == LB_NO_EVIDENCE)
        return PyErr_SetString(PyExc_ValueError, "these are no records of evidence"), NULL;
    if (number == LB_NO_CHANGE)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(number);
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

#define SMALL_FILE 65536 /* mapping a smaller one takes longer than copying it */

static PyObject *read_file(int fd, off_t size)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    for (off_t at = 0; result && at < size;) {
        ssize_t got = pread(fd, PyBytes_AsString(result) + at, (size_t)(size - at), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) { /* it has become shorter, or cannot be read */
            errno = got < 0 ? errno : EIO;
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
    PyObject *result = type != NULL ? lb_map_file((PyTypeObject *)type, fd, size, MAP_POPULATE) : NULL;
    Py_XDECREF(type);
    return result;
}

/* The bytes of a file that is the user's alone; NULL without an exception where there is none. */
static PyObject *open_private(PyObject *module, const char *path)
{
    PyObject *result = NULL;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    bool is_private = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
                      status.st_uid == geteuid() && !(status.st_mode & (S_IWGRP | S_IWOTH));
    if (is_private)
        result = take_file(module, fd, status.st_size);
    close(fd);
    if (result == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OSError))
        PyErr_Clear();
    return result;
}

static PyObject *private_file(PyObject *module, PyObject *path)
{
    PyObject *bytes = NULL;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    PyObject *result = open_private(module, PyBytes_AsString(bytes));
    Py_DECREF(bytes);
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

/* The parts of an entry as memoryviews. */
static PyObject *split(PyObject *data, const struct lb_entry *kept)
{
    PyObject *whole = PyMemoryView_FromObject(data), *parts = whole == NULL ? NULL : PyTuple_New(LB_KEPT_PARTS);
    for (int part = 0; part < LB_KEPT_PARTS && parts != NULL; part++) {
        PyObject *view = PySequence_GetSlice(whole, (Py_ssize_t)kept->bounds[part], (Py_ssize_t)kept->bounds[part + 1]);
        if (view == NULL || PyTuple_SetItem(parts, part, view) < 0)
            Py_CLEAR(parts);
    }
    Py_XDECREF(whole);
    return parts;
}

static PyObject *kept_parts(PyObject *module, PyObject *args)
{
    PyObject *data;
    Py_buffer view;
    unsigned version;
    struct lb_entry kept;
    (void)module;
    if (!PyArg_ParseTuple(args, "OI:kept_parts", &data, &version) || PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const char *wrong = lb_kept_read(view.buf, (size_t)view.len, version, &kept);
    PyBuffer_Release(&view);
    if (wrong != NULL)
        return PyErr_SetString(PyExc_ValueError, wrong), NULL;
    return split(data, &kept);
}

struct asked {
    const char *question;
    size_t size;
    unsigned version;
};

/* Is it whole, the answer to that question, and is all as it was? */
static bool is_answer(const Py_buffer *view, const struct asked *asked, struct lb_entry *kept)
{
    const uint8_t *data = view->buf;
    if (lb_kept_read(data, (size_t)view->len, asked->version, kept) != NULL)
        return false;
    const uint64_t *bounds = kept->bounds;
    if (bounds[LB_KEPT_QUESTION + 1] - bounds[LB_KEPT_QUESTION] != asked->size ||
        memcmp(data + bounds[LB_KEPT_QUESTION], asked->question, asked->size) != 0)
        return false;
    return lb_first_change(data + bounds[LB_KEPT_WATCHED], bounds[LB_KEPT_WATCHED + 1] - bounds[LB_KEPT_WATCHED]) ==
           LB_NO_CHANGE;
}

struct place { /* of an entry */
    PyObject *folder, *question; /* bytes */
    char path[PATH_MAX];
};

/* The two arguments that say which entry is meant. */
static bool take_place(struct place *place, PyObject *folder, PyObject *question)
{
    if (!PyUnicode_FSConverter(folder, &place->folder))
        return false;
    place->question = PyUnicode_AsEncodedString(question, "utf-8", "surrogateescape");
    if (place->question == NULL)
        return false;
    const int length = lb_kept_path(place->path, sizeof place->path, PyBytes_AsString(place->folder),
                                    PyBytes_AsString(place->question), (size_t)PyBytes_Size(place->question));
    if (length >= 0 && (size_t)length < sizeof place->path)
        return true;
    PyErr_SetString(PyExc_ValueError, "the folder's path is too long");
    return false;
}

static void release_place(struct place *place)
{
    Py_XDECREF(place->folder);
    Py_XDECREF(place->question);
}

static PyObject *kept_path(PyObject *module, PyObject *args)
{
    PyObject *folder, *question, *result = NULL;
    struct place place = {.folder = NULL};
    (void)module;
    if (!PyArg_ParseTuple(args, "UU:kept_path", &folder, &question))
        return NULL;
    if (take_place(&place, folder, question))
        result = PyUnicode_DecodeFSDefault(place.path);
    release_place(&place);
    return result;
}

static PyObject *prepared(PyObject *module, PyObject *args)
{
    PyObject *packed, *result;
    Py_buffer record;
    struct lb_makers makers;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*OO&:prepared", &record, &packed, lb_as_makers, &makers))
        return NULL;
    result = lb_prepared(record.buf, (size_t)record.len, packed, &makers);
    PyBuffer_Release(&record);
    return result;
}

/* The plan of an entry that is whole; a memoryview of the entry is what it is packed in. */
static PyObject *plan_of(PyObject *data, const uint8_t *bytes, const struct lb_entry *kept, const struct lb_makers *makers)
{
    const uint64_t *bounds = kept->bounds;
    PyObject *whole = PyMemoryView_FromObject(data);
    PyObject *packed = whole == NULL ? NULL
                                     : PySequence_GetSlice(whole, (Py_ssize_t)bounds[LB_KEPT_PLAN],
                                                           (Py_ssize_t)bounds[LB_KEPT_PLAN + 1]);
    PyObject *result = packed == NULL ? NULL
                                      : lb_prepared(bytes + bounds[LB_KEPT_RECORD],
                                                    bounds[LB_KEPT_RECORD + 1] - bounds[LB_KEPT_RECORD], packed, makers);
    Py_XDECREF(packed);
    Py_XDECREF(whole);
    return result;
}

static PyObject *recall_from(PyObject *module, const struct place *place, unsigned version, const struct lb_makers *makers)
{
    struct asked asked = {PyBytes_AsString(place->question), (size_t)PyBytes_Size(place->question), version};
    struct lb_entry kept;
    Py_buffer view;
    bool is_answered;
    PyObject *data = open_private(module, place->path), *result = NULL;
    if (data == NULL || PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        Py_XDECREF(data);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    is_answered = is_answer(&view, &asked, &kept);
    Py_END_ALLOW_THREADS
    if (is_answered)
        result = plan_of(data, view.buf, &kept, makers);
    PyBuffer_Release(&view);
    Py_DECREF(data);
    return result;
}

static PyObject *recall(PyObject *module, PyObject *args)
{
    PyObject *folder, *question, *result = NULL;
    struct place place = {.folder = NULL};
    struct lb_makers makers;
    unsigned version;
    if (!PyArg_ParseTuple(args, "UUIO&:recall", &folder, &question, &version, lb_as_makers, &makers))
        return NULL;
    if (take_place(&place, folder, question))
        result = recall_from(module, &place, version, &makers);
    release_place(&place);
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

static PyMethodDef functions[] = {
    {"checksum", checksum, METH_VARARGS,
     "checksum(data, seed=0) -> int\n\n64 bits that tell whether `data` was damaged; no cryptographic hash."},
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
    {"kept_parts", kept_parts, METH_VARARGS,
     "kept_parts(data, version, /)\n--\n\n"
     "The parts of an entry (kept.h): question, evidence to look at, evidence that is looked at later, record, plan.\n"
     "Raises ValueError, saying what is wrong."},
    {"prepared", prepared, METH_VARARGS,
     "prepared(record, packed, makers, /)\n--\n\n"
     "The PreparedPlan that a record and a packed plan say.  makers: (PreparedPlan, PreparedObject, FileIdentity, roles),\n"
     "what it is made of.  Raises ValueError, saying what is wrong with the record."},
    {"recall", recall, METH_VARARGS,
     "recall(folder: str, question: str, version, makers, /)\n--\n\n"
     "The plan of the entry for a question, if there is one that is a private file and whole, and the evidence to look\n"
     "at holds; else None.  Raises ValueError for a path that is too long, and where the entry's record is damaged."},
    {"kept_path", kept_path, METH_VARARGS,
     "kept_path(folder: str, question: str, /)\n--\n\n"
     "Where the entry for a question lies.  Raises ValueError for a path that is too long."},
    {NULL, NULL, 0, NULL},
};

int lb_add_kept(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
