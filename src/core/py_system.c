/* What the linker asks of the system's own: dlopen and dlsym with clear errors, the link map, TLS blocks of residents.
 *
 * The interpreter lock is released around each call, because the system's linker runs constructors under a lock of its
 * own, and a constructor may want the interpreter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "image.h"
#include "layout.h"
#include "module.h"

int lb_as_uint64(PyObject *value, void *result)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(value);
    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return 0;
    *(unsigned long long *)result = number;
    return 1;
}

static PyObject *raise_dlerror(PyObject *module, const char *text)
{
    struct lb_error error = {0};
    lb_fail(&error, LB_SYSTEM, LB_NONE, 0, "%s", text != NULL ? text : "the system's linker gave no reason");
    return lb_raise(module, &error);
}

/* ---- dlopen, dlsym ----------------------------------------------------------------------------------------------------- */

static PyObject *system_open(PyObject *module, PyObject *args)
{
    PyObject *path;
    void *handle;
    const char *text = NULL;
    int mode = RTLD_NOW | RTLD_LOCAL;
    if (!PyArg_ParseTuple(args, "O&|i:system_open", PyUnicode_FSConverter, &path, &mode))
        return NULL;
    const char *name = PyBytes_AsString(path);
    Py_BEGIN_ALLOW_THREADS
    handle = dlopen(name, mode);
    if (handle == NULL)
        text = dlerror(); /* this thread's: no other call may come between */
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return handle == NULL ? raise_dlerror(module, text) : PyLong_FromVoidPtr(handle);
}

static PyObject *system_close(PyObject *module, PyObject *args)
{
    unsigned long long handle;
    const char *text = NULL;
    if (!PyArg_ParseTuple(args, "O&:system_close", lb_as_uint64, &handle))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    if (dlclose(lb_pointer(handle)) != 0)
        text = dlerror();
    Py_END_ALLOW_THREADS
    if (text != NULL)
        return raise_dlerror(module, text);
    Py_RETURN_NONE;
}

static PyObject *system_symbol(PyObject *module, PyObject *args)
{
    unsigned long long handle;
    const char *name, *version;
    void *address;
    bool is_missing;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&sz:system_symbol", lb_as_uint64, &handle, &name, &version))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    void *scope = handle == 0 ? RTLD_DEFAULT : lb_pointer(handle);
    (void)dlerror();
    address = version == NULL ? dlsym(scope, name) : dlvsym(scope, name, version);
    is_missing = address == NULL && dlerror() != NULL;
    Py_END_ALLOW_THREADS
    if (is_missing)
        Py_RETURN_NONE;
    return PyLong_FromVoidPtr(address);
}

/* ---- the link map -------------------------------------------------------------------------------------------------------- */

struct entry {
    char *path;
    unsigned long long base, dynamic, tls_module;
    char *soname; /* NULL: none */
    uint8_t build_id[LB_LAYOUT_BUILD_ID];
    uint32_t build_id_size; /* 0: none */
};

struct entries {
    struct entry *items;
    size_t count, room;
    bool is_one; /* only the object at `base` is wanted */
    unsigned long long base;
    bool out_of_memory;
};

static bool make_room(struct entries *all)
{
    if (all->count < all->room)
        return true;
    size_t room = all->room != 0 ? 2 * all->room : 64;
    struct entry *items = realloc(all->items, room * sizeof *items);
    if (items == NULL)
        return false;
    all->items = items;
    all->room = room;
    return true;
}

/* DT_SONAME. The system's linker has turned DT_STRTAB into an address, except where it left the section alone. */
static char *read_soname(uint64_t base, uint64_t dynamic)
{
    uint64_t strings = 0, name = 0;
    bool has_name = false;
    if (dynamic == 0)
        return NULL;
    for (const Elf64_Dyn *d = lb_pointer(dynamic); d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_STRTAB)
            strings = d->d_un.d_ptr;
        if (d->d_tag == DT_SONAME)
            name = d->d_un.d_val, has_name = true;
    }
    return has_name && strings != 0 ? strdup(lb_pointer((strings < base ? base : 0) + strings + name)) : NULL;
}

static int note_entry(struct dl_phdr_info *info, size_t size, void *data)
{
    struct entries *all = data;
    const char *path = info->dlpi_name != NULL ? info->dlpi_name : "";
    struct entry e = {.base = info->dlpi_addr};
    if (all->is_one && e.base != all->base)
        return 0;
    if (strncmp(path, LB_CARRIER_PREFIX, strlen(LB_CARRIER_PREFIX)) == 0)
        return 0;
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_DYNAMIC)
            e.dynamic = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_NOTE && e.build_id_size == 0)
            e.build_id_size = lb_build_id(lb_pointer(info->dlpi_addr + p->p_vaddr), p->p_memsz, e.build_id);
    }
    if (size >= offsetof(struct dl_phdr_info, dlpi_tls_modid) + sizeof info->dlpi_tls_modid)
        e.tls_module = info->dlpi_tls_modid;
    e.path = strdup(path);
    e.soname = read_soname(e.base, e.dynamic);
    if (e.path == NULL || !make_room(all)) {
        free(e.path);
        free(e.soname);
        all->out_of_memory = true;
        return 1;
    }
    all->items[all->count++] = e;
    return 0;
}

static PyObject *entries_as_list(const struct entries *all)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; i < all->count && list != NULL; i++) {
        const struct entry *e = &all->items[i];
        PyObject *soname = e->soname == NULL ? Py_NewRef(Py_None) : PyUnicode_DecodeFSDefault(e->soname);
        PyObject *item = Py_BuildValue("(NKKKNy#)", PyUnicode_DecodeFSDefault(e->path), e->base, e->dynamic,
                                       e->tls_module, soname, (const char *)e->build_id, (Py_ssize_t)e->build_id_size);
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *system_link_map(PyObject *module, PyObject *args)
{
    struct entries all = {0};
    PyObject *result, *base = Py_None;
    (void)module;
    if (!PyArg_ParseTuple(args, "|O:link_map", &base))
        return NULL;
    all.is_one = base != Py_None;
    if (all.is_one && !lb_as_uint64(base, &all.base))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    dl_iterate_phdr(note_entry, &all);
    Py_END_ALLOW_THREADS
    result = all.out_of_memory ? PyErr_NoMemory() : entries_as_list(&all);
    for (size_t i = 0; i < all.count; i++) {
        free(all.items[i].path);
        free(all.items[i].soname);
    }
    free(all.items);
    return result;
}

static int note_changes(struct dl_phdr_info *info, size_t size, void *data)
{
    unsigned long long *changes = data;
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs) {
        changes[0] = info->dlpi_adds;
        changes[1] = info->dlpi_subs;
    }
    return 1;
}

static PyObject *link_map_changes(PyObject *module, PyObject *unused)
{
    unsigned long long changes[2] = {0, 0};
    (void)module, (void)unused;
    Py_BEGIN_ALLOW_THREADS
    dl_iterate_phdr(note_changes, changes);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(KK)", changes[0], changes[1]);
}

/* ---- TLS and resolvers ----------------------------------------------------------------------------------------------------- */

static PyObject *tls_of(PyObject *module, PyObject *args)
{
    unsigned long long base;
    struct lb_tls tls;
    struct lb_error error;
    int result;
    if (!PyArg_ParseTuple(args, "O&:tls_of", lb_as_uint64, &base))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = lb_system_tls(base, &tls, &error);
    Py_END_ALLOW_THREADS
    if (result < 0)
        return lb_raise(module, &error);
    if (!tls.is_static)
        return Py_BuildValue("(KO)", (unsigned long long)tls.module, Py_None);
    return Py_BuildValue("(KL)", (unsigned long long)tls.module, (long long)tls.offset);
}

struct tls_index { /* what __tls_get_addr takes (psABI, "Thread-local storage") */
    unsigned long module, offset;
};
extern void *__tls_get_addr(struct tls_index *);

static PyObject *tls_address(PyObject *module, PyObject *args)
{
    unsigned long long number, offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&O&:tls_address", lb_as_uint64, &number, lb_as_uint64, &offset))
        return NULL;
    if (number == 0)
        return PyErr_Format(PyExc_ValueError, "there is no TLS module 0");
    return PyLong_FromVoidPtr(__tls_get_addr(&(struct tls_index){number, offset}));
}

static PyObject *call_resolver(PyObject *module, PyObject *args)
{
    unsigned long long address, result = 0;
    bool is_code;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&:call_resolver", lb_as_uint64, &address))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    is_code = lb_is_code(NULL, address);
    if (is_code)
        result = lb_call_resolver(address);
    Py_END_ALLOW_THREADS
    if (!is_code)
        return PyErr_Format(PyExc_ValueError, "%p is not an address in executable memory", lb_pointer(address));
    return PyLong_FromUnsignedLongLong(result);
}

/* ---- the CPU ------------------------------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
/* What the C library found at its start (<sys/platform/x86.h>, since glibc 2.33): asking the CPU again would cost a trap
 * into a hypervisor for each question. */
struct cpuid_feature {
    unsigned cpuid[4], active[4];
};
#define CPUID_LEAVES 9u
__attribute__((weak)) extern const struct cpuid_feature *__x86_get_cpuid_feature_leaf(unsigned leaf);
#endif

static PyObject *cpu_features(PyObject *module, PyObject *unused)
{
    unsigned long words[2 + 4 * 9] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    (void)module, (void)unused;
#if defined(__x86_64__)
    for (unsigned leaf = 0; __x86_get_cpuid_feature_leaf != NULL && leaf < CPUID_LEAVES; leaf++)
        for (unsigned i = 0; i < 4; i++)
            words[2 + 4 * leaf + i] = __x86_get_cpuid_feature_leaf(leaf)->active[i];
#endif
    return PyBytes_FromStringAndSize((const char *)words, sizeof words);
}

#define MANY_BYTES 512 /* of values; more are asked for once more */

/* Of each variable whose name, with a NUL behind it, is in `names`: `=` and its value if it is set, and a NUL.  Returns how
 * many bytes that are, though no more than `room` are written. */
static size_t take_values(const char *names, size_t size, char *values, size_t room)
{
    size_t used = 0;
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        const char *value = getenv(name);
        const size_t length = (value != NULL ? strlen(value) + 1 : 0) + 1;
        if (used + length <= room) {
            values[used] = '=';
            memcpy(values + used + (value != NULL), value != NULL ? value : "", length - (value != NULL));
        }
        used += length;
    }
    return used;
}

static PyObject *environment(PyObject *module, PyObject *names)
{
    char few[MANY_BYTES], *text;
    Py_ssize_t size;
    (void)module;
    if (PyBytes_AsStringAndSize(names, &text, &size) < 0)
        return NULL;
    if (size != 0 && text[size - 1] != '\0')
        return PyErr_SetString(PyExc_ValueError, "a name needs a NUL behind it"), NULL;
    size_t used = take_values(text, (size_t)size, few, sizeof few);
    if (used <= sizeof few)
        return PyBytes_FromStringAndSize(few, (Py_ssize_t)used);
    for (;;) {
        PyObject *values = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)used);
        const size_t then = used;
        if (values == NULL || (used = take_values(text, (size_t)size, PyBytes_AsString(values), then)) == then)
            return values;
        Py_DECREF(values); /* another thread, in C, has changed the environment meanwhile */
    }
}

static PyMethodDef functions[] = {
    {"environment", environment, METH_O,
     "environment(names: bytes, /)\n--\n\n"
     "Of each environment variable whose name, with a NUL behind it, is in `names`: `=` and its value if it is set, and a\n"
     "NUL.  Raises ValueError where the last NUL is missing."},
    {"cpu_features", cpu_features, METH_NOARGS,
     "cpu_features() -> bytes\n\nWhat this CPU can do, as far as the search for libraries could depend on it."},
    {"system_open", system_open, METH_VARARGS,
     "system_open(path, mode=RTLD_NOW | RTLD_LOCAL) -> int\n\n"
     "The system's dlopen; constructors run.  Raises ExecuteError."},
    {"system_close", system_close, METH_VARARGS,
     "system_close(handle) -> None\n\nThe system's dlclose.  Raises ExecuteError."},
    {"system_symbol", system_symbol, METH_VARARGS,
     "system_symbol(handle, name, version) -> int | None\n\n"
     "The system's dlsym, or dlvsym if version is not None; handle 0 means the global scope.  None: no such symbol.\n"
     "IFUNCs are resolved; of a thread-local variable, the address in this thread."},
    {"link_map", system_link_map, METH_VARARGS,
     "link_map(base=None) -> list[tuple[str, int, int, int, str | None, bytes]]\n\n"
     "The objects of the system's linker in load order: path ('' for the program), base, address of the dynamic section\n"
     "(0 if none), TLS module id (0 if none), DT_SONAME, and the build-id (b'' if none), both as they are in memory.\n"
     "Our TLS carriers are left out.  With a base, only what is there."},
    {"link_map_changes", link_map_changes, METH_NOARGS,
     "link_map_changes() -> tuple[int, int]\n\n"
     "How many objects came to the link map, and went, so far (dl_iterate_phdr(3)).  While both are the same, so is\n"
     "link_map()."},
    {"tls_of", tls_of, METH_VARARGS,
     "tls_of(base) -> tuple[int, int | None]\n\n"
     "TLS module id (0: no TLS) of the system linker's object at this base, and the offset of its block from the thread\n"
     "pointer, None unless static.  Starts a thread to find out.  Raises ExecuteError."},
    {"tls_address", tls_address, METH_VARARGS,
     "tls_address(module, offset) -> int\n\n"
     "Where the calling thread has byte `offset` of a TLS block, which is made if need be.  The module must exist."},
    {"call_resolver", call_resolver, METH_VARARGS,
     "call_resolver(address) -> int\n\nWhat an IFUNC's resolver returns.  Raises ValueError if it is no code."},
    {NULL, NULL, 0, NULL},
};

int lb_add_system(PyObject *module) { return PyModule_AddFunctions(module, functions); }
