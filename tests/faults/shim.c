/* Makes system calls and allocations fail on demand, in one thread, at the n-th call: tests/faults/sweep.py.
 *
 * Preloaded, so that every object but the C library itself comes here.  Besides it counts what must not be left behind
 * and leaves no trace in /proc: the core's blocks on the heap, and the frames that the unwinder was told about. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is to fail ------------------------------------------------------------------------------------------------ */

static const char *wanted = "";
static long nth, seen;
static int number;
static bool lasts; /* every later call fails too */
static __thread bool is_armed;
static uint64_t core_start, core_end;

void faults_core(uint64_t start, uint64_t end)
{
    core_start = start;
    core_end = end;
}

void faults_arm(const char *function, long at, bool from_then_on, int error)
{
    static char name[32];
    strncpy(name, function, sizeof name - 1);
    wanted = name;
    nth = at;
    lasts = from_then_on;
    number = error;
    seen = 0;
    is_armed = true;
}

/* How often the function was called since. */
long faults_disarm(void)
{
    is_armed = false;
    return seen;
}

static bool fails(const char *function)
{
    if (!is_armed || strcmp(function, wanted) != 0)
        return false;
    seen++;
    if (seen < nth || (seen > nth && !lasts))
        return false;
    errno = number;
    return true;
}

static void *next(const char *function) { return dlsym(RTLD_NEXT, function); }

#define FORWARD(type, name, failure, parameters, ...)                                                                 \
    type name parameters                                                                                              \
    {                                                                                                                 \
        static type(*real) parameters;                                                                                \
        if (real == NULL)                                                                                             \
            real = (type(*) parameters)next(#name);                                                                   \
        return fails(#name) ? (failure) : real(__VA_ARGS__);                                                          \
    }

FORWARD(int, mprotect, -1, (void *at, size_t size, int protection), at, size, protection)
FORWARD(int, munmap, -1, (void *at, size_t size), at, size)
FORWARD(int, memfd_create, -1, (const char *name, unsigned flags), name, flags)
FORWARD(int, ftruncate, -1, (int fd, off_t size), fd, size)
FORWARD(ssize_t, pwrite, -1, (int fd, const void *from, size_t size, off_t at), fd, from, size, at)
FORWARD(ssize_t, pread, -1, (int fd, void *to, size_t size, off_t at), fd, to, size, at)
FORWARD(ssize_t, pread64, -1, (int fd, void *to, size_t size, off_t at), fd, to, size, at)
FORWARD(int, fstat, -1, (int fd, struct stat *status), fd, status)
FORWARD(int, fstat64, -1, (int fd, struct stat64 *status), fd, status)
FORWARD(int, pthread_create, number,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data), thread, attributes,
        start, data)

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (real == NULL)
        real = (void *(*)(void *, size_t, int, int, int, off_t))next("mmap");
    return fails("mmap") ? MAP_FAILED : real(at, size, protection, flags, fd, offset);
}

int open64(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if (real == NULL)
        real = (int (*)(const char *, int, ...))next("open64");
    return fails("open") ? -1 : real(path, flags, mode);
}

void *dlopen(const char *path, int mode)
{
    static void *(*real)(const char *, int);
    if (real == NULL)
        real = (void *(*)(const char *, int))next("dlopen");
    return real(fails("dlopen") ? "/injected failure" : path, mode); /* so that dlerror has a text */
}

/* ---- the heap ---------------------------------------------------------------------------------------------------------
 * "malloc" means the core's own allocations, "anyone" those of Python and of the system's linker as well. */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

#define ROOM 65536u
static uintptr_t blocks[ROOM]; /* the core's, by open addressing: Knuth 6.4, algorithms L and R */
static long live;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_core(const void *caller) { return (uint64_t)(uintptr_t)caller - core_start < core_end - core_start; }

static uint32_t place(uintptr_t block) { return (uint32_t)((block >> 4) * 2654435761u) % ROOM; }

static void *noted(void *block, const void *caller)
{
    if (block == NULL || !is_core(caller))
        return block;
    pthread_mutex_lock(&lock);
    uint32_t at = place((uintptr_t)block);
    while (blocks[at] != 0)
        at = (at + 1) % ROOM;
    blocks[at] = (uintptr_t)block;
    live++;
    pthread_mutex_unlock(&lock);
    return block;
}

/* Empties a place and moves up what stands behind it and would not be found any more. */
static void clear(uint32_t gap)
{
    for (uint32_t at = (gap + 1) % ROOM; blocks[at] != 0; at = (at + 1) % ROOM) {
        uint32_t home = place(blocks[at]);
        if ((at - home) % ROOM < (at - gap) % ROOM)
            continue;
        blocks[gap] = blocks[at];
        gap = at;
    }
    blocks[gap] = 0;
    live--;
}

static void forget(void *block)
{
    if (live == 0 || block == NULL)
        return;
    pthread_mutex_lock(&lock);
    uint32_t at = place((uintptr_t)block);
    while (blocks[at] != 0 && blocks[at] != (uintptr_t)block)
        at = (at + 1) % ROOM;
    if (blocks[at] != 0)
        clear(at);
    pthread_mutex_unlock(&lock);
}

long faults_blocks(void) { return live; }

static bool allocation_fails(const void *caller)
{
    return is_armed && (fails("anyone") || (is_core(caller) && fails("malloc")));
}

void *malloc(size_t size)
{
    const void *caller = __builtin_return_address(0);
    return allocation_fails(caller) ? NULL : noted(__libc_malloc(size), caller);
}

void *calloc(size_t count, size_t size)
{
    const void *caller = __builtin_return_address(0);
    return allocation_fails(caller) ? NULL : noted(__libc_calloc(count, size), caller);
}

void *realloc(void *block, size_t size)
{
    const void *caller = __builtin_return_address(0);
    if (allocation_fails(caller))
        return NULL;
    if (!is_core(caller))
        return __libc_realloc(block, size);
    forget(block);
    return noted(__libc_realloc(block, size), caller);
}

char *strdup(const char *text)
{
    const void *caller = __builtin_return_address(0);
    size_t size = strlen(text) + 1;
    char *copy = allocation_fails(caller) ? NULL : noted(__libc_malloc(size), caller);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void free(void *block)
{
    forget(block);
    __libc_free(block);
}

/* ---- frames ----------------------------------------------------------------------------------------------------------- */

static long frames;

void __register_frame_info(const void *section, void *record)
{
    static void (*real)(const void *, void *);
    if (real == NULL)
        real = (void (*)(const void *, void *))next("__register_frame_info");
    __atomic_add_fetch(&frames, 1, __ATOMIC_RELAXED);
    real(section, record);
}

void *__deregister_frame_info(const void *section)
{
    static void *(*real)(const void *);
    if (real == NULL)
        real = (void *(*)(const void *))next("__deregister_frame_info");
    __atomic_sub_fetch(&frames, 1, __ATOMIC_RELAXED);
    return real(section);
}

long faults_frames(void) { return frames; }

/* ---- interrupts ------------------------------------------------------------------------------------------------------- */

extern void PyErr_SetInterrupt(void) __attribute__((weak));

/* A Py_tracefunc (CPython's C API, PyEval_SetProfile): control-C arrives just after the n-th call or return.  The
 * interpreter looks for it where it always does, so nothing is interrupted here that would not be in life. */
int faults_interrupt(void *object, void *frame, int what, void *argument)
{
    (void)object, (void)frame, (void)what, (void)argument;
    if (fails("interrupt"))
        PyErr_SetInterrupt();
    return 0;
}
