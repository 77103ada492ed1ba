/* Binding for Python: `SymbolTable.bind` for one object, and `_core.bind_all` for many, by two threads.
 *
 * A job is one object's references and the scope that they are looked for in.  Its arguments are read and its result is
 * made under the interpreter lock; what takes the time, in between, is not. */
#include "bindings.h"
#include "parallel.h"
#include "py_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum failure { NONE, NO_MEMORY, BAD_TABLE, BAD_SYMBOL, MANY_TYPES, NO_END };

struct job {
    PyObject *table; /* of the referrer; the arguments keep it */
    struct lb_request request;
    struct lb_relocation_table *tables;
    struct lb_reference *others;
    uint32_t table_count, other_count, relative;
    const struct lb_symbols **scope;
    uint32_t *plt_types, *hashes;
    struct lb_names watched;
    struct lb_reference_list references;
    struct lb_bound_list bound;
    enum failure failure;
    uint32_t bad_symbol;
};

static void release(struct job *job)
{
    free(job->tables);
    free(job->others);
    free(job->scope);
    free(job->plt_types);
    free(job->hashes);
    lb_names_release(&job->watched);
    lb_references_release(&job->references);
    lb_bound_release(&job->bound);
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

static int take_tables(struct job *job, PyObject *tables)
{
    job->tables = room_for(tables, sizeof *job->tables, &job->table_count);
    for (uint32_t i = 0; job->tables && i < job->table_count; i++) {
        unsigned long long offset, size;
        int has_addend;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tables, i), "KKp", &offset, &size, &has_addend))
            return -1;
        job->tables[i] = (struct lb_relocation_table){offset, size, has_addend};
    }
    return job->tables ? 0 : -1;
}

static int take_others(struct job *job, PyObject *others)
{
    job->others = room_for(others, sizeof *job->others, &job->other_count);
    for (uint32_t i = 0; job->others && i < job->other_count; i++)
        if (!PyArg_ParseTuple(PyTuple_GetItem(others, i), "II", &job->others[i].symbol, &job->others[i].type))
            return -1;
    return job->others ? 0 : -1;
}

static int take_scope(struct job *job, PyObject *scope)
{
    job->scope = room_for(scope, sizeof *job->scope, &job->request.scope_count);
    for (uint32_t i = 0; job->scope && i < job->request.scope_count; i++) {
        PyObject *item = PyTuple_GetItem(scope, i);
        if (Py_TYPE(item) != Py_TYPE(job->table)) {
            PyErr_SetString(PyExc_TypeError, "the scope holds something else than SymbolTable");
            return -1;
        }
        job->scope[i] = lb_symbols_of(item);
    }
    job->request.scope = job->scope;
    return job->scope ? 0 : -1;
}

/* By their GNU hashes. */
static int take_watched(struct job *job, PyObject *names)
{
    uint32_t count;
    job->hashes = room_for(names, sizeof *job->hashes, &count);
    for (uint32_t i = 0; job->hashes && i < count; i++) {
        PyObject *bytes = PyUnicode_AsEncodedString(PyTuple_GetItem(names, i), "utf-8", "surrogateescape");
        if (!bytes)
            return -1;
        job->hashes[i] = lb_gnu_hash((struct lb_text){PyBytes_AsString(bytes), (uint32_t)PyBytes_Size(bytes)});
        Py_DECREF(bytes);
    }
    if (!job->hashes)
        return -1;
    if (lb_names_make(&job->watched, job->hashes, count) < 0)
        return PyErr_NoMemory(), -1;
    job->request.watched = &job->watched;
    return 0;
}

/* The arguments of bind(); the job must stay where it is. */
static int take(struct job *job, PyObject *table, PyObject *args)
{
    PyObject *tables, *others, *plt_types, *scope, *watched;
    long long copy_skips;
    *job = (struct job){.table = table, .request = {.referrer = lb_symbols_of(table)}};
    if (!PyArg_ParseTuple(args, "O!O!(IO!I)O!LO!:bind", &PyTuple_Type, &tables, &PyTuple_Type, &others, &job->relative,
                          &PyTuple_Type, &plt_types, &job->request.copy_type, &PyTuple_Type, &scope, &copy_skips,
                          &PyTuple_Type, &watched))
        return -1;
    job->request.copy_skips = copy_skips < 0 ? LB_NOWHERE : (uint32_t)copy_skips;
    job->plt_types = lb_numbers_of(plt_types, &job->request.plt_type_count);
    job->request.plt_types = job->plt_types;
    if (!job->plt_types || take_tables(job, tables) < 0 || take_others(job, others) < 0)
        return -1;
    return take_scope(job, scope) < 0 || take_watched(job, watched) < 0 ? -1 : 0;
}

/* ---- the work ------------------------------------------------------------------------------------------------------ */

static enum failure failure_of(int number, enum failure invalid)
{
    return number == ENOMEM ? NO_MEMORY : number == E2BIG ? MANY_TYPES : invalid;
}

static enum failure gather(struct job *job)
{
    const struct lb_view *view = &job->request.referrer->view;
    for (uint32_t i = 0; i < job->table_count; i++)
        if (lb_references_add(&job->references, view, &job->tables[i], job->relative) < 0)
            return failure_of(errno, BAD_TABLE);
    for (uint32_t i = 0; i < job->other_count; i++) {
        job->bad_symbol = job->others[i].symbol;
        if (lb_references_note(&job->references, view, job->others[i].symbol, job->others[i].type) < 0)
            return failure_of(errno, BAD_SYMBOL);
    }
    return NONE;
}

/* What binding may cost; an honest file needs a small part of it. */
static uint64_t steps_for(const struct job *job)
{
    return (UINT64_C(1) << 26) + job->references.count * job->request.scope_count * 1024;
}

/* Needs no lock: it reads what the arguments hold, and writes to the job alone. */
static void run(struct job *job)
{
    uint64_t steps;
    job->failure = gather(job);
    if (job->failure != NONE)
        return;
    steps = steps_for(job);
    if (lb_bind_references(&job->request, &job->references, &job->bound, &steps, &job->bad_symbol) < 0)
        job->failure = failure_of(errno, BAD_SYMBOL);
    else if (steps == 0)
        job->failure = NO_END;
}

static PyObject *fail(const struct job *job)
{
    switch (job->failure) {
    case NO_MEMORY:
        return PyErr_NoMemory();
    case BAD_SYMBOL:
        return PyErr_Format(PyExc_IndexError, "symbol %lu", (unsigned long)job->bad_symbol);
    case BAD_TABLE:
        PyErr_SetString(PyExc_ValueError, "a relocation table or a symbol index in it lies outside the file");
        return NULL;
    case MANY_TYPES:
        PyErr_SetString(PyExc_ValueError, "more than 64 relocation types");
        return NULL;
    default:
        PyErr_SetString(PyExc_ValueError, "the hash chains in its scope are so long that they must be broken");
        return NULL;
    }
}

static PyObject *result_of(PyObject *type, struct job *job)
{
    return lb_bindings_make(type, job->table, &job->bound, &job->references, job->request.scope_count);
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
    struct job job;
    PyObject *module = PyType_GetModule(Py_TYPE(table)), *result = NULL;
    PyObject *type = module ? lb_attribute(module, "Bindings") : NULL;
    if (type && take(&job, table, args) == 0) {
        Py_BEGIN_ALLOW_THREADS
        run(&job);
        Py_END_ALLOW_THREADS
        result = job.failure == NONE ? result_of(type, &job) : fail(&job);
    }
    if (type)
        release(&job);
    Py_XDECREF(type);
    return result;
}

/* ---- many objects -------------------------------------------------------------------------------------------------- */

struct batch { /* two threads take the next job that nobody has */
    struct job *jobs;
    uint32_t count, next;
};

static void run_jobs(void *data, int half)
{
    struct batch *batch = data;
    (void)half;
    for (uint32_t i; (i = __atomic_fetch_add(&batch->next, 1, __ATOMIC_RELAXED)) < batch->count;)
        run(&batch->jobs[i]);
}

/* (SymbolTable, the arguments of its bind) each. */
static int take_batch(struct batch *batch, PyTypeObject *table_type, PyObject *jobs)
{
    uint32_t count;
    batch->jobs = room_for(jobs, sizeof *batch->jobs, &count);
    for (uint32_t i = 0; batch->jobs && i < count; i++) {
        PyObject *table, *args;
        if (!PyArg_ParseTuple(PyTuple_GetItem(jobs, i), "O!O!", table_type, &table, &PyTuple_Type, &args))
            return -1;
        batch->count++;
        if (take(&batch->jobs[i], table, args) < 0)
            return -1;
    }
    return batch->jobs ? 0 : -1;
}

static PyObject *results_of(PyObject *type, const struct batch *batch)
{
    PyObject *results = PyList_New((Py_ssize_t)batch->count);
    for (uint32_t i = 0; results && i < batch->count; i++) {
        struct job *job = &batch->jobs[i];
        PyObject *one = job->failure == NONE ? result_of(type, job) : Py_NewRef(Py_None);
        if (!one || PyList_SetItem(results, (Py_ssize_t)i, one) < 0)
            Py_CLEAR(results);
    }
    return results;
}

static PyObject *bind_all(PyObject *module, PyObject *jobs)
{
    struct batch batch = {0};
    PyObject *type = lb_attribute(module, "Bindings"), *table_type = lb_attribute(module, "SymbolTable"), *result = NULL;
    if (type && table_type && take_batch(&batch, (PyTypeObject *)table_type, jobs) == 0) {
        Py_BEGIN_ALLOW_THREADS
        lb_in_halves(run_jobs, &batch);
        Py_END_ALLOW_THREADS
        result = results_of(type, &batch);
    }
    for (uint32_t i = 0; i < batch.count; i++)
        release(&batch.jobs[i]);
    free(batch.jobs);
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
