/* `_core.summarize` and its like: summary.c and ahead.c for Python.  latebind/elf/summary.py is their only user. */
#include "ahead.h"
#include "module.h"
#include "py_file.h"
#include "py_layout.h"

#include <stdlib.h>
#include <unistd.h>

PyDoc_STRVAR(summarize_doc,
    "summarize(path, known, /)\n--\n\n"
    "What a search must know of the file at `path`, as a tuple; False where there is no such file, None where it cannot\n"
    "be had for another reason or is not plain.\n"
    "`known` is a dict by (device, inode): a file that is in it is not read, the value is returned.");
PyDoc_STRVAR(summarize_bytes_doc,
    "summarize_bytes(data, identity, /)\n--\n\n"
    "The same of a file's bytes; `identity` is put into the tuple.");
PyDoc_STRVAR(read_ahead_doc,
    "read_ahead(paths, target=None, /)\n--\n\n"
    "A thread that reads the files at `paths`, a list, in this order; it ends with what is returned.\n"
    "With `target`, a tuple (machine, its largest page in bytes), they are going to be loaded: it prepares what `take_map`\n"
    "returns, too.");
PyDoc_STRVAR(take_whole_doc,
    "take_whole(ahead, path, known, target, /)\n--\n\n"
    "What `summarize` returns; but a tuple of (what that returns, the file's bytes as a FileMapping, what `layout` returns for\n"
    "it) in the place of its tuple. `target` is a tuple (machine, its largest page in bytes); a file for another machine gets\n"
    "no layout. `ahead` is a capsule of `read_ahead`, or None: what it reads is not read again, and `take_map` has the bytes\n"
    "and the layout: they are None.");
PyDoc_STRVAR(take_map_doc,
    "take_map(ahead, path, /)\n--\n\n"
    "The bytes of a file that was taken, as a FileMapping, and its layout or None, as a tuple; None where there is nothing, or\n"
    "not any more.");
PyDoc_STRVAR(take_ahead_doc,
    "take_ahead(ahead, path, known, /)\n--\n\n"
    "What `summarize` returns; what `ahead` reads is not read again.");
PyDoc_STRVAR(look_ahead_into_doc,
    "look_ahead_into(ahead, folder, /)\n--\n\n"
    "Have the thread read, too, what the files need, where it is in `folder`; this counts for the first few folders.");

static PyObject *text_of(const char *text, const struct lb_string *string)
{
    if (!string->is_there)
        return Py_NewRef(Py_None);
    return PyUnicode_DecodeUTF8(text + string->start, string->length, "surrogateescape");
}

/* As latebind.elf's `Dynamic.needed`: without a string table each name is the empty string. */
static PyObject *needed_of(const struct lb_summary *summary, const char *text)
{
    PyObject *names = PyTuple_New(summary->needed_count);
    for (uint32_t i = 0; names && i < summary->needed_count; i++) {
        const struct lb_string *string = &summary->needed[i];
        PyObject *name = PyUnicode_DecodeUTF8(text + string->start, string->length, "surrogateescape");
        if (name)
            PyUnicode_InternInPlace(&name); /* the same names come again in every file */
        if (!name || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

/* `text` is the summary's, or a copy.  Takes the reference to `identity`, which may be NULL with an exception set. */
static PyObject *tuple_of(const struct lb_summary *s, const char *text, PyObject *identity)
{
    PyObject *interpreter = text_of(text, &s->interpreter), *needed = needed_of(s, text);
    PyObject *soname = text_of(text, &s->soname), *rpath = text_of(text, &s->rpath), *runpath = text_of(text, &s->runpath);
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

static PyObject *identity_of(const struct lb_identity *identity)
{
    return Py_BuildValue("KKKL", (unsigned long long)identity->device, (unsigned long long)identity->inode,
                         (unsigned long long)identity->size, (long long)identity->time);
}

/* What `known` has for the file, as a new reference; NULL without an exception where it has nothing. */
static PyObject *known_file(PyObject *known, const struct lb_identity *identity)
{
    PyObject *key = Py_BuildValue("(KK)", (unsigned long long)identity->device, (unsigned long long)identity->inode);
    PyObject *found = key ? PyDict_GetItemWithError(known, key) : NULL;
    Py_XINCREF(found);
    Py_XDECREF(key);
    return found;
}

static PyObject *summarize_file(int fd, const struct lb_identity *identity, PyObject *known)
{
    PyObject *result = known_file(known, identity);
    if (result || PyErr_Occurred())
        return result;
    struct lb_source source;
    struct lb_summary *summary = malloc(sizeof *summary);
    if (!summary)
        return PyErr_NoMemory();
    lb_source_open(&source, fd, identity->size);
    if (lb_summarize(&source, summary))
        result = tuple_of(summary, summary->text, identity_of(identity));
    else
        result = Py_NewRef(Py_None);
    free(summary);
    return result;
}

/* The bytes, which are the caller's from now on, and the layout of a file that is mapped; NULL with an exception. */
static PyObject *map_of(PyObject *module, struct lb_reading *reading)
{
    PyObject *type = lb_attribute(module, "FileMapping");
    PyObject *mapping = type ? lb_adopt_map((PyTypeObject *)type, &reading->map) : NULL;
    PyObject *layout = !mapping ? NULL : reading->layout ? lb_layout_to_python(reading->layout) : Py_NewRef(Py_None);
    PyObject *result = layout ? PyTuple_Pack(2, mapping, layout) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(mapping);
    Py_XDECREF(layout);
    return result;
}

static PyObject *whole_of(PyObject *module, struct lb_reading *reading)
{
    PyObject *values = tuple_of(reading->summary, reading->text, identity_of(&reading->identity));
    PyObject *map = values ? map_of(module, reading) : NULL;
    PyObject *result = map ? PyTuple_Pack(3, values, PyTuple_GetItem(map, 0), PyTuple_GetItem(map, 1)) : NULL;
    Py_XDECREF(values);
    Py_XDECREF(map);
    return result;
}

static PyObject *read_whole(PyObject *module, int fd, const struct lb_identity *identity, const struct lb_target *target)
{
    struct lb_reading reading = {.identity = *identity};
    struct lb_summary *room = malloc(sizeof *room);
    if (!room)
        return PyErr_NoMemory();
    lb_reading_summarize(&reading, fd, room);
    if (reading.outcome == LB_FILE_PLAIN)
        lb_reading_map(&reading, fd, target);
    PyObject *result = reading.data ? whole_of(module, &reading) : Py_NewRef(Py_None);
    free(room);
    lb_reading_release(&reading);
    return result;
}

/* `target` is NULL where the summary will do. */
static PyObject *read_path(PyObject *module, const char *path, PyObject *known, const struct lb_target *target)
{
    struct lb_identity identity;
    enum lb_outcome outcome;
    int fd = lb_file_open(path, &identity, &outcome);
    if (fd < 0)
        return Py_NewRef(outcome == LB_FILE_ABSENT ? Py_False : Py_None);
    PyObject *result = target ? known_file(known, &identity) : summarize_file(fd, &identity, known);
    if (target && !result && !PyErr_Occurred())
        result = read_whole(module, fd, &identity, target);
    close(fd);
    return result;
}

static PyObject *summarize(PyObject *module, PyObject *args)
{
    PyObject *path, *known;
    if (!PyArg_ParseTuple(args, "O&O!:summarize", PyUnicode_FSConverter, &path, &PyDict_Type, &known))
        return NULL;
    PyObject *result = read_path(module, PyBytes_AsString(path), known, NULL);
    Py_DECREF(path);
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
        result = tuple_of(summary, summary->text, Py_NewRef(identity));
    free(summary);
    PyBuffer_Release(&buffer);
    return result;
}

/* ---- ahead of time ---------------------------------------------------------------------------------------------------- */

static void end_ahead(PyObject *capsule) { lb_ahead_end(PyCapsule_GetPointer(capsule, "ahead")); }

/* The paths as the system wants them, in a list that keeps them. */
static PyObject *encoded(PyObject *paths)
{
    Py_ssize_t count = PyList_Size(paths);
    PyObject *all = PyList_New(count);
    for (Py_ssize_t i = 0; all && i < count; i++) {
        PyObject *path;
        if (!PyUnicode_FSConverter(PyList_GetItem(paths, i), &path) || PyList_SetItem(all, i, path) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static int take_target(PyObject *numbers, struct lb_target *target)
{
    if (!PyArg_ParseTuple(numbers, "HI", &target->machine, &target->largest_page))
        return -1;
    if (target->largest_page == 0)
        PyErr_Format(PyExc_ValueError, "a page has bytes");
    return target->largest_page == 0 ? -1 : 0;
}

static PyObject *read_ahead(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *paths, *numbers = NULL;
    struct lb_target target;
    if (!PyArg_ParseTuple(args, "O!|O!:read_ahead", &PyList_Type, &paths, &PyTuple_Type, &numbers) ||
        (numbers && take_target(numbers, &target) < 0) || !(paths = encoded(paths)))
        return NULL;
    size_t count = (size_t)PyList_Size(paths);
    const char **texts = calloc(count + 1, sizeof *texts);
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = PyBytes_AsString(PyList_GetItem(paths, (Py_ssize_t)i));
    struct lb_ahead *ahead = texts ? lb_ahead_start(texts, count, numbers ? &target : NULL) : NULL;
    free(texts);
    Py_DECREF(paths);
    if (!ahead)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(ahead, "ahead", end_ahead);
    if (!capsule)
        lb_ahead_end(ahead);
    return capsule;
}

static PyObject *taken(const struct lb_reading *reading, PyObject *known)
{
    if (reading->outcome != LB_FILE_PLAIN)
        return Py_NewRef(reading->outcome == LB_FILE_ABSENT ? Py_False : Py_None);
    PyObject *result = known_file(known, &reading->identity);
    if (result || PyErr_Occurred())
        return result;
    return tuple_of(reading->summary, reading->text, identity_of(&reading->identity));
}

/* What `ahead` has of the file at `path`, or will have; NULL where it is not asked to, or, with a target, has it too late. */
static struct lb_reading *reading_of(struct lb_ahead *ahead, const char *path)
{
    struct lb_ahead_file *file = lb_ahead_find(ahead, path);
    struct lb_reading *reading = file ? lb_ahead_peek(file) : NULL;
    if (file && !reading) {
        Py_BEGIN_ALLOW_THREADS
        reading = lb_ahead_target(ahead) ? lb_ahead_try(ahead, file) : lb_ahead_take(ahead, file);
        Py_END_ALLOW_THREADS
    }
    return reading;
}

static PyObject *take_ahead(PyObject *module, PyObject *args)
{
    PyObject *capsule, *path, *known, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO&O!:take_ahead", &capsule, PyUnicode_FSConverter, &path, &PyDict_Type, &known))
        return NULL;
    struct lb_ahead *ahead = PyCapsule_GetPointer(capsule, "ahead");
    struct lb_reading *reading = ahead ? reading_of(ahead, PyBytes_AsString(path)) : NULL;
    if (ahead)
        result = reading ? taken(reading, known) : read_path(module, PyBytes_AsString(path), known, NULL);
    Py_DECREF(path);
    return result;
}

static PyObject *take_whole(PyObject *module, PyObject *args)
{
    PyObject *capsule, *path, *known, *numbers, *result = NULL;
    struct lb_target target;
    if (!PyArg_ParseTuple(args, "OO&O!O!:take_whole", &capsule, PyUnicode_FSConverter, &path, &PyDict_Type, &known,
                          &PyTuple_Type, &numbers))
        return NULL;
    struct lb_ahead *ahead = capsule == Py_None ? NULL : PyCapsule_GetPointer(capsule, "ahead");
    if (take_target(numbers, &target) == 0 && (ahead || capsule == Py_None)) {
        struct lb_reading *reading = ahead && lb_ahead_target(ahead) ? reading_of(ahead, PyBytes_AsString(path)) : NULL;
        result = reading ? taken(reading, known) : read_path(module, PyBytes_AsString(path), known, &target);
        if (reading && result && PyTuple_CheckExact(result))
            result = Py_BuildValue("(NOO)", result, Py_None, Py_None);
    }
    Py_DECREF(path);
    return result;
}

static PyObject *take_map(PyObject *module, PyObject *args)
{
    PyObject *capsule, *path;
    if (!PyArg_ParseTuple(args, "OO&:take_map", &capsule, PyUnicode_FSConverter, &path))
        return NULL;
    struct lb_ahead *ahead = PyCapsule_GetPointer(capsule, "ahead");
    struct lb_ahead_file *file = ahead ? lb_ahead_find(ahead, PyBytes_AsString(path)) : NULL;
    struct lb_reading *reading = NULL;
    Py_DECREF(path);
    if (file && lb_ahead_peek(file)) {
        Py_BEGIN_ALLOW_THREADS
        reading = lb_ahead_map(ahead, file);
        Py_END_ALLOW_THREADS
    }
    if (!ahead)
        return NULL;
    return reading && reading->map.size != 0 ? map_of(module, reading) : Py_NewRef(Py_None);
}

static PyObject *look_ahead_into(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *capsule, *folder;
    if (!PyArg_ParseTuple(args, "OO&:look_ahead_into", &capsule, PyUnicode_FSConverter, &folder))
        return NULL;
    struct lb_ahead *ahead = PyCapsule_GetPointer(capsule, "ahead");
    if (ahead)
        lb_ahead_look_into(ahead, PyBytes_AsString(folder));
    Py_DECREF(folder);
    return ahead ? Py_NewRef(Py_None) : NULL;
}

static PyObject *stop_ahead(PyObject *Py_UNUSED(module), PyObject *capsule)
{
    struct lb_ahead *ahead = PyCapsule_GetPointer(capsule, "ahead");
    if (!ahead)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    lb_ahead_stop(ahead);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"summarize", summarize, METH_VARARGS, summarize_doc},
    {"summarize_bytes", summarize_bytes, METH_VARARGS, summarize_bytes_doc},
    {"read_ahead", read_ahead, METH_VARARGS, read_ahead_doc},
    {"take_ahead", take_ahead, METH_VARARGS, take_ahead_doc},
    {"take_whole", take_whole, METH_VARARGS, take_whole_doc},
    {"take_map", take_map, METH_VARARGS, take_map_doc},
    {"stop_ahead", stop_ahead, METH_O,
     "stop_ahead(ahead, /)\n--\n\nEnd the thread; what it has not read is read when it is asked for."},
    {"look_ahead_into", look_ahead_into, METH_VARARGS, look_ahead_into_doc},
    {NULL, NULL, 0, NULL},
};

int lb_add_summary(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
