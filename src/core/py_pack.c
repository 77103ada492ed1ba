/* Packing a plan (plan.h): `_core.pack_plan`, and `Bindings.packed` for the records of one object.
 *
 * The records are written where they stay: they are most of a plan, and of what it costs to make one. */
#include "py_bindings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- the records of one object ---------------------------------------------------------------------------------------- */

#define MOST_SEEN 1024u /* objects that are told apart quickly */

struct places { /* by symbol: the number of its first row plus 1; all 0 between two objects */
    uint32_t *first;
    uint32_t size;
};

struct packing { /* what becomes the records of one object */
    const struct lb_bound_list *list;
    uint32_t *objects; /* the plan's indexes of the scope */
    uint32_t own, symbols;
    struct lb_plan_binding *patched; /* a record for each row, symbol 0 where none; NULL without any */
    PyObject *targets;               /* a set: the objects that are bound to */
    uint64_t seen[MOST_SEEN / 64];   /* those of them that are there by now, by number */
    uint32_t count;                  /* of records */
};

static int note_target(struct packing *p, uint32_t object)
{
    bool is_small = object < MOST_SEEN;
    uint64_t bit = UINT64_C(1) << object % 64, *word = &p->seen[object % MOST_SEEN / 64];
    if (object == UINT32_MAX || (is_small && *word & bit))
        return 0;
    if (is_small)
        *word |= bit;
    PyObject *number = PyLong_FromUnsignedLong(object);
    int status = number ? PySet_Add(p->targets, number) : -1;
    Py_XDECREF(number);
    return status;
}

/* Room for the symbols of `p`. */
static int make_room(struct places *places, const struct packing *p)
{
    if (places->first != NULL && p->symbols <= places->size)
        return 0;
    free(places->first);
    places->size = p->symbols > 2 * places->size ? p->symbols : 2 * places->size;
    places->first = calloc((size_t)places->size + 1, sizeof *places->first);
    return places->first != NULL ? 0 : (PyErr_NoMemory(), -1);
}

static void count_records(struct packing *p, struct places *places)
{
    const struct lb_bound *rows = p->list->rows;
    for (uint32_t i = 0; i < p->list->count; i++) {
        p->count += places->first[rows[i].symbol] == 0;
        places->first[rows[i].symbol] = 1;
    }
    for (uint32_t i = 0; i < p->list->count; i++)
        places->first[rows[i].symbol] = 0;
}

/* Writes the records to `out`, in order of symbols.  Where a call and an address of one symbol bind differently, the
 * address's binding serves both: it comes first. */
static int write_records(struct packing *p, struct places *places, char *out)
{
    for (uint32_t i = p->list->count; i-- != 0;)
        places->first[p->list->rows[i].symbol] = i + 1;
    for (uint32_t symbol = 0; symbol < p->symbols; symbol++) {
        if (!places->first[symbol])
            continue;
        uint32_t i = places->first[symbol] - 1;
        places->first[symbol] = 0;
        bool is_patched = p->patched && p->patched[i].symbol;
        struct lb_plan_binding record =
            is_patched ? p->patched[i] : lb_bound_record(&p->list->rows[i], p->objects, p->own);
        memcpy(out, &record, sizeof record);
        out += sizeof record;
        if (note_target(p, record.object) < 0)
            return -1;
    }
    return 0;
}

/* `patches`: row number → (kind, object or -1, value), into an array with a record for each row; symbol 0 where none. */
static int take_patches(struct packing *p, PyObject *patches)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(patches, &position, &key, &value)) {
        unsigned int kind;
        long long target;
        unsigned long long number;
        Py_ssize_t row = PyLong_AsSsize_t(key);
        if (row == -1 && PyErr_Occurred())
            return -1;
        if (row < 0 || row >= (Py_ssize_t)p->list->count) {
            PyErr_Format(PyExc_IndexError, "row %zd of %lu", row, (unsigned long)p->list->count);
            return -1;
        }
        if (!PyArg_ParseTuple(value, "ILK", &kind, &target, &number))
            return -1;
        p->patched[row] = (struct lb_plan_binding){p->list->rows[row].symbol, kind,
                                                   target < 0 ? UINT32_MAX : (uint32_t)target, 0, number};
    }
    return 0;
}

static uint32_t symbols_in(const struct packing *p)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < p->list->count; i++)
        if (p->list->rows[i].symbol >= most)
            most = p->list->rows[i].symbol + 1;
    return most;
}

const char lb_packed_doc[] =
    "packed(objects, own, patches)\n--\n\n"
    "The packed plan's records (struct lb_plan_binding), one for each symbol, in order of symbols, and the set of objects that\n"
    "they bind to. objects: a tuple of the plan's object index for each place in the scope; own: the referrer's. patches: a\n"
    "dict of row number to (kind, object or -1, value), which take the place of what the row says.";

static void release(struct packing *p)
{
    free(p->objects);
    free(p->patched);
    Py_XDECREF(p->targets);
}

/* Takes the arguments of packed(), and counts the records; `packing` is to be released then, in any case. */
static int prepare(struct packing *p, struct places *places, PyObject *bindings, PyObject *objects, PyObject *patches)
{
    uint32_t count = 0, scope_count;
    p->list = lb_rows_of(bindings, &scope_count);
    bool has_patches = PyDict_Size(patches) != 0;
    if (!(p->objects = lb_numbers_of(objects, &count)) || !(p->targets = PySet_New(NULL)))
        return -1;
    if (count != scope_count)
        return PyErr_Format(PyExc_ValueError, "%lu objects for a scope of %lu", (unsigned long)count,
                            (unsigned long)scope_count), -1;
    p->symbols = symbols_in(p);
    p->patched = has_patches ? calloc((size_t)p->list->count + 1, sizeof *p->patched) : NULL;
    if (has_patches && !p->patched)
        return PyErr_NoMemory(), -1;
    if (make_room(places, p) < 0)
        return -1;
    count_records(p, places);
    return take_patches(p, patches);
}

PyObject *lb_bindings_packed(PyObject *bindings, PyObject *args)
{
    PyObject *objects, *patches, *records = NULL, *result = NULL;
    struct packing packing = {0};
    struct places places = {0};
    if (!PyArg_ParseTuple(args, "O!IO!", &PyTuple_Type, &objects, &packing.own, &PyDict_Type, &patches))
        return NULL;
    if (prepare(&packing, &places, bindings, objects, patches) == 0)
        records = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(packing.count * sizeof(struct lb_plan_binding)));
    if (records && write_records(&packing, &places, PyBytes_AsString(records)) == 0)
        result = PyTuple_Pack(2, records, packing.targets);
    Py_XDECREF(records);
    release(&packing);
    free(places.first);
    return result;
}

/* ---- the whole plan ------------------------------------------------------------------------------------------------------- */

enum { OBJECTS, SEGMENTS, BINDINGS, ORDER, STRINGS, PARTS };

struct block { /* a packed plan that is being made */
    struct lb_plan_header header;
    Py_buffer parts[PARTS]; /* all but the bindings */
    PyObject *jobs;         /* a tuple: for each object None, or (Bindings, objects, own, patches) */
    struct packing *packings;
    struct places places;
    uint32_t count; /* of objects */
};

static const size_t part_sizes[PARTS] = {sizeof(struct lb_plan_object), sizeof(struct lb_plan_segment),
                                         sizeof(struct lb_plan_binding), sizeof(uint32_t), 1};

static struct lb_table *table_of(struct lb_plan_header *header, int part)
{
    struct lb_table *tables[PARTS] = {&header->objects, &header->segments, &header->bindings, &header->order,
                                      &header->strings};
    return tables[part];
}

static int prepare_jobs(struct block *block, PyTypeObject *type)
{
    block->packings = calloc((size_t)block->count + 1, sizeof *block->packings);
    if (!block->packings)
        return PyErr_NoMemory(), -1;
    for (uint32_t i = 0; i < block->count; i++) {
        PyObject *job = PyTuple_GetItem(block->jobs, (Py_ssize_t)i), *bindings, *objects, *patches;
        if (job == Py_None)
            continue;
        if (!PyArg_ParseTuple(job, "O!O!IO!", type, &bindings, &PyTuple_Type, &objects, &block->packings[i].own, &PyDict_Type,
                              &patches) ||
            prepare(&block->packings[i], &block->places, bindings, objects, patches) < 0)
            return -1;
        block->header.bindings.count += block->packings[i].count;
    }
    return 0;
}

/* Each table at a multiple of 8. */
static int place_tables(struct block *block)
{
    uint64_t at = sizeof block->header;
    for (int part = 0; part < PARTS; part++) {
        struct lb_table *table = table_of(&block->header, part);
        if (part != BINDINGS)
            table->count = (uint32_t)((size_t)block->parts[part].len / part_sizes[part]);
        at = (at + 7) & ~UINT64_C(7);
        table->offset = (uint32_t)at;
        at += part == BINDINGS ? table->count * part_sizes[part] : (uint64_t)block->parts[part].len;
    }
    block->header.size = at;
    if (at > UINT32_MAX)
        return PyErr_SetString(PyExc_ValueError, "the plan is too large"), -1;
    return 0;
}

/* The records of each object, and where they are. */
static int write_bindings(struct block *block, char *out)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        struct packing *packing = &block->packings[i];
        uint32_t slice[2] = {row, packing->count};
        if (!packing->list)
            continue;
        memcpy(out + block->header.objects.offset + i * sizeof(struct lb_plan_object) +
                   offsetof(struct lb_plan_object, first_binding), slice, sizeof slice);
        if (write_records(packing, &block->places, out + block->header.bindings.offset + row * sizeof(struct lb_plan_binding)) < 0)
            return -1;
        row += packing->count;
    }
    return 0;
}

static PyObject *targets_of(const struct block *block)
{
    PyObject *all = PyList_New((Py_ssize_t)block->count);
    for (uint32_t i = 0; all && i < block->count; i++) {
        PyObject *targets = block->packings[i].targets ? Py_NewRef(block->packings[i].targets) : PySet_New(NULL);
        if (!targets || PyList_SetItem(all, (Py_ssize_t)i, targets) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *write_block(struct block *block)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)block->header.size);
    if (!result)
        return NULL;
    char *out = PyBytes_AsString(result);
    uint64_t end = sizeof block->header;
    memcpy(out, &block->header, sizeof block->header);
    for (int part = 0; part < PARTS; part++) {
        struct lb_table *table = table_of(&block->header, part);
        uint64_t length = part == BINDINGS ? table->count * part_sizes[part] : (uint64_t)block->parts[part].len;
        memset(out + end, 0, table->offset - end);
        if (part != BINDINGS && length != 0)
            memcpy(out + table->offset, block->parts[part].buf, length);
        end = table->offset + length;
    }
    PyObject *targets = write_bindings(block, out) == 0 ? targets_of(block) : NULL;
    PyObject *pair = targets ? PyTuple_Pack(2, result, targets) : NULL;
    Py_DECREF(result);
    Py_XDECREF(targets);
    return pair;
}

static PyObject *make_block(struct block *block, PyTypeObject *type)
{
    size_t size = (size_t)block->parts[OBJECTS].len;
    if (size % part_sizes[OBJECTS] || size / part_sizes[OBJECTS] != (size_t)PyTuple_Size(block->jobs))
        return PyErr_SetString(PyExc_ValueError, "not one job for each object"), NULL;
    block->count = (uint32_t)(size / part_sizes[OBJECTS]);
    PyObject *result = prepare_jobs(block, type) < 0 || place_tables(block) < 0 ? NULL : write_block(block);
    for (uint32_t i = 0; block->packings && i < block->count; i++)
        release(&block->packings[i]);
    free(block->packings);
    free(block->places.first);
    return result;
}

static PyObject *pack_plan(PyObject *module, PyObject *args)
{
    struct block block = {.header = {.magic = LB_PLAN_MAGIC, .version = LB_PLAN_VERSION}};
    if (!PyArg_ParseTuple(args, "(HBB)y*y*O!y*y*:pack_plan", &block.header.machine, &block.header.elf_class,
                          &block.header.elf_data, &block.parts[OBJECTS], &block.parts[SEGMENTS], &PyTuple_Type, &block.jobs,
                          &block.parts[ORDER], &block.parts[STRINGS]))
        return NULL;
    PyObject *type = lb_attribute(module, "Bindings");
    PyObject *result = type ? make_block(&block, (PyTypeObject *)type) : NULL;
    for (int part = 0; part < PARTS; part++)
        if (part != BINDINGS)
            PyBuffer_Release(&block.parts[part]);
    Py_XDECREF(type);
    return result;
}

static PyMethodDef functions[] = {
    {"pack_plan", pack_plan, METH_VARARGS,
     "pack_plan(machine, objects, segments, jobs, order, strings, /)\n--\n\n"
     "The packed plan (src/core/plan.h). machine: (e_machine, EI_CLASS, EI_DATA). objects, segments, order, strings: its\n"
     "tables, as bytes; the fields first_binding and bindings of the objects are set here. jobs: a tuple that has for each\n"
     "object None, or (Bindings, and the arguments of its `packed`).\n"
     "Returns the plan and a list: for each object the set of those that it binds to, empty without a job."},
    {NULL, NULL, 0, NULL},
};

int lb_add_pack(PyObject *module) { return PyModule_AddFunctions(module, functions); }
