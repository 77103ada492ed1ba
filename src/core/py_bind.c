/* Binding for Python: `SymbolTable.bind` for one object, and `_core.bind_all` for many.
 *
 * The arguments of a job (jobs.h) are read and its result is made under the interpreter lock; what takes the time, in
 * between, is not. */
#include "jobs.h"
#include "py_match.h"

#include <stdlib.h>

struct question { /* the arguments of one bind(), which keep the referrer and the scope */
    PyObject *table; /* of the referrer */
    PyObject *watched; /* the tuple of names */
    struct lb_relocation_table *tables;
    struct lb_reference *others;
    const struct lb_symbols **scope;
    uint32_t *plt_types;
    struct lb_names names; /* those watched; of one question, for all that have the same tuple */
};

static void release(struct question *q)
{
    free(q->tables);
    free(q->others);
    free(q->scope);
    free(q->plt_types);
    lb_names_release(&q->names);
}

/* ---- the arguments ------------------------------------------------------------------------------------------------- */

/* Room for as many elements of `size` bytes as the tuple has, and their number; NULL with an exception. */
static void *room_for(PyObject *tuple, size_t size, uint32_t *count)
{
    Py_ssize_t n = PyTuple_Size(tuple);
    void *room = n < 0 || n > INT32_MAX ? NULL : calloc((size_t)n + 1, size);
    if (!room && !PyErr_Occurred())
        PyErr_NoMemory();
    *count = (uint32_t)n;
    return room;
}

static int take_tables(struct question *q, struct lb_job *job, PyObject *tables)
{
    job->tables = q->tables = room_for(tables, sizeof *q->tables, &job->table_count);
    for (uint32_t i = 0; q->tables && i < job->table_count; i++) {
        unsigned long long offset, size;
        int has_addend;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tables, i), "KKp", &offset, &size, &has_addend))
            return -1;
        q->tables[i] = (struct lb_relocation_table){offset, size, has_addend};
    }
    return q->tables ? 0 : -1;
}

static int take_others(struct question *q, struct lb_job *job, PyObject *others)
{
    job->others = q->others = room_for(others, sizeof *q->others, &job->other_count);
    for (uint32_t i = 0; q->others && i < job->other_count; i++)
        if (!PyArg_ParseTuple(PyTuple_GetItem(others, i), "II", &q->others[i].symbol, &q->others[i].type))
            return -1;
    return q->others ? 0 : -1;
}

static int take_scope(struct question *q, struct lb_request *request, PyObject *scope)
{
    request->scope = q->scope = room_for(scope, sizeof *q->scope, &request->scope_count);
    for (uint32_t i = 0; q->scope && i < request->scope_count; i++) {
        PyObject *item = PyTuple_GetItem(scope, i);
        if (Py_TYPE(item) != Py_TYPE(q->table)) {
            PyErr_SetString(PyExc_TypeError, "the scope holds something else than SymbolTable");
            return -1;
        }
        q->scope[i] = lb_symbols_of(item);
    }
    return q->scope ? 0 : -1;
}

/* By their GNU hashes. */
static int hash_all(PyObject *names, uint32_t *hashes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        PyObject *bytes = PyUnicode_AsEncodedString(PyTuple_GetItem(names, i), "utf-8", "surrogateescape");
        if (!bytes)
            return -1;
        hashes[i] = lb_gnu_hash((struct lb_text){PyBytes_AsString(bytes), (uint32_t)PyBytes_Size(bytes)});
        Py_DECREF(bytes);
    }
    return 0;
}

/* The objects of a plan have one tuple: the question before this one may have its names already. */
static int take_watched(struct question *q, struct lb_job *job, bool is_first)
{
    uint32_t count, *hashes;
    if (!is_first && q[-1].watched == q->watched) {
        job->request.watched = job[-1].request.watched;
        return 0;
    }
    hashes = room_for(q->watched, sizeof *hashes, &count);
    int result = hashes ? hash_all(q->watched, hashes, count) : -1;
    if (result == 0 && lb_names_make(&q->names, hashes, count) < 0)
        result = (PyErr_NoMemory(), -1);
    free(hashes);
    job->request.watched = &q->names;
    return result;
}

/* The arguments of bind(); the question must stay where it is, and unless it is the first, behind the one before it. */
static int take(struct question *q, struct lb_job *job, PyObject *table, PyObject *args, bool is_first)
{
    PyObject *tables, *others, *plt_types, *scope;
    struct lb_request *request = &job->request;
    long long copy_skips;
    q->table = table;
    request->referrer = lb_symbols_of(table);
    if (!PyArg_ParseTuple(args, "O!O!(IO!I)O!LO!:bind", &PyTuple_Type, &tables, &PyTuple_Type, &others, &job->relative,
                          &PyTuple_Type, &plt_types, &request->copy_type, &PyTuple_Type, &scope, &copy_skips, &PyTuple_Type,
                          &q->watched))
        return -1;
    request->copy_skips = copy_skips < 0 ? LB_NOWHERE : (uint32_t)copy_skips;
    request->plt_types = q->plt_types = lb_numbers_of(plt_types, &request->plt_type_count);
    if (!q->plt_types || take_tables(q, job, tables) < 0 || take_others(q, job, others) < 0)
        return -1;
    return take_scope(q, request, scope) < 0 || take_watched(q, job, is_first) < 0 ? -1 : 0;
}

/* ---- the answers ---------------------------------------------------------------------------------------------------- */

static PyObject *fail(const struct lb_job *job)
{
    switch (job->failure) {
    case LB_FAILED_MEMORY:
        return PyErr_NoMemory();
    case LB_FAILED_SYMBOL:
        return PyErr_Format(PyExc_IndexError, "symbol %lu", (unsigned long)job->bad_symbol);
    case LB_FAILED_TABLE:
        PyErr_SetString(PyExc_ValueError, "a relocation table or a symbol index in it lies outside the file");
        return NULL;
    case LB_FAILED_TYPES:
        PyErr_SetString(PyExc_ValueError, "more than 64 relocation types");
        return NULL;
    default:
        PyErr_SetString(PyExc_ValueError, "the hash chains in its scope are so long that they must be broken");
        return NULL;
    }
}

static PyObject *result_of(PyObject *type, PyObject *table, struct lb_job *job)
{
    return lb_bindings_make(type, table, &job->bound, job->request.scope_count);
}

const char lb_bind_doc[] =
    "bind(tables, others, machine, scope, copy_skips, watched)\n--\n\n"
    "Bind every reference of the relocation tables. tables: a tuple of (file offset, size, has_addend); others: a tuple\n"
    "of (symbol index, relocation type), references from elsewhere. machine: (RELATIVE, passed over; the types that want\n"
    "a real definition, as a tuple; COPY). scope: a tuple of SymbolTable in search order, and copy_skips the place in it\n"
    "that COPY passes over (-1: none). watched: a tuple of names.\n"
    "Returns Bindings. Raises IndexError for a symbol index not in the file, ValueError where a table lies outside the\n"
    "file or hash chains are so long that no linker can have made them.";

PyObject *lb_table_bind(PyObject *table, PyObject *args)
{
    struct question question = {0};
    struct lb_job job = {0};
    PyObject *module = PyType_GetModule(Py_TYPE(table)), *result = NULL;
    PyObject *type = module ? lb_attribute(module, "Bindings") : NULL;
    if (type && take(&question, &job, table, args, true) == 0) {
        Py_BEGIN_ALLOW_THREADS
        lb_jobs_do(&job, 1);
        Py_END_ALLOW_THREADS
        result = job.failure == LB_FAILED_NOT ? result_of(type, table, &job) : fail(&job);
    }
    lb_bound_release(&job.bound);
    release(&question);
    Py_XDECREF(type);
    return result;
}

/* ---- many objects -------------------------------------------------------------------------------------------------- */

struct batch {
    struct question *questions;
    struct lb_job *jobs;
    uint32_t count;
};

/* (SymbolTable, the arguments of its bind) each. */
static int take_batch(struct batch *batch, PyTypeObject *table_type, PyObject *pairs)
{
    batch->questions = room_for(pairs, sizeof *batch->questions, &batch->count);
    batch->jobs = batch->questions ? room_for(pairs, sizeof *batch->jobs, &batch->count) : NULL;
    for (uint32_t i = 0; batch->jobs && i < batch->count; i++) {
        PyObject *table, *args;
        if (!PyArg_ParseTuple(PyTuple_GetItem(pairs, i), "O!O!", table_type, &table, &PyTuple_Type, &args))
            return -1;
        if (take(&batch->questions[i], &batch->jobs[i], table, args, i == 0) < 0)
            return -1;
    }
    return batch->jobs ? 0 : -1;
}

static void release_batch(struct batch *batch)
{
    for (uint32_t i = 0; batch->jobs && i < batch->count; i++) {
        lb_bound_release(&batch->jobs[i].bound);
        release(&batch->questions[i]);
    }
    free(batch->jobs);
    free(batch->questions);
}

static PyObject *results_of(PyObject *type, const struct batch *batch)
{
    PyObject *results = PyList_New((Py_ssize_t)batch->count);
    for (uint32_t i = 0; results && i < batch->count; i++) {
        struct lb_job *job = &batch->jobs[i];
        PyObject *table = batch->questions[i].table;
        PyObject *one = job->failure == LB_FAILED_NOT ? result_of(type, table, job) : Py_NewRef(Py_None);
        if (!one || PyList_SetItem(results, (Py_ssize_t)i, one) < 0)
            Py_CLEAR(results);
    }
    return results;
}

static PyObject *bind_all(PyObject *module, PyObject *pairs)
{
    struct batch batch = {0};
    PyObject *type = lb_attribute(module, "Bindings"), *table_type = lb_attribute(module, "SymbolTable"), *result = NULL;
    if (type && table_type && take_batch(&batch, (PyTypeObject *)table_type, pairs) == 0) {
        Py_BEGIN_ALLOW_THREADS
        lb_jobs_do(batch.jobs, batch.count);
        Py_END_ALLOW_THREADS
        result = results_of(type, &batch);
    }
    release_batch(&batch);
    Py_XDECREF(type);
    Py_XDECREF(table_type);
    return result;
}

static PyMethodDef functions[] = {
    {"bind_all", bind_all, METH_O,
     "bind_all(jobs: tuple[tuple[SymbolTable, tuple], ...], /)\n--\n\n"
     "What bind() of each of these tables returns for these arguments, as a list; None where it would raise.  By two\n"
     "threads, where the machine has the processors."},
    {NULL, NULL, 0, NULL},
};

int lb_add_bind(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
