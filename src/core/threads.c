/* Which images have running code: those that a return address on some thread's stack leads into.
 *
 * A thread pool that a library never stops, a plugin that is closed from a callback that it called itself: unmapping
 * such code ends the process as soon as the thread goes on.  A thread that sleeps tells where its stack pointer is
 * (proc(5), /proc/pid/task/tid/syscall); from there to the stack's end every word that points behind a call instruction
 * of an image counts.  That may take a stale word for a live one, never the other way: code then stays a little longer
 * than it must.  The calling thread's own stack can be unwound, so that it is judged without error. */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include "after_call.h"
#include "image.h"

#define PATIENCE 20u        /* looks at a thread that runs, ... */
#define PAUSE_NS 50000      /* ... and nanoseconds between them */
#define LARGEST_STACK (64u << 20) /* bytes; what is deeper takes a look at /proc/self/maps */
#define EMPTY_BYTES 262144u /* so many zero bytes below the used part of a stack whose pointer is not known: its end */

struct search {
    struct lb_image *const *images;
    size_t count;
    uint32_t *threads;    /* per image: how many threads run in it */
    bool *seen;           /* per image: in the thread that is looked at */
    uint64_t low, high;   /* around all images */
    char *maps;           /* /proc/self/maps, read when first needed */
};

static struct lb_image *image_at(const struct search *s, uint64_t address, size_t *index)
{
    if (address < s->low || address >= s->high)
        return NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct lb_image *image = s->images[i];
        if (address - image->start < image->span) {
            *index = i;
            return lb_image_at(image, address - image->base, 1, PF_X) != 0 ? image : NULL;
        }
    }
    return NULL;
}

/* Is it the address of what comes after a call? */
static bool is_return_address(const struct search *s, uint64_t address, size_t *index)
{
    const struct lb_image *image = image_at(s, address, index);
    return image != NULL && lb_image_at(image, address - image->base - 8, 8, PF_R | PF_X) != 0 &&
           lb_is_after_call(lb_pointer(address));
}

/* ---- the calling thread --------------------------------------------------------------------------------------------- */

struct unwinding {
    const struct search *search;
    uint64_t reached; /* stack address: everything below belongs to frames that were seen */
};

static _Unwind_Reason_Code see_frame(struct _Unwind_Context *context, void *data)
{
    const struct lb_unwinder *unwinder = &lb_process.unwinder;
    struct unwinding *u = data;
    size_t index;
    if (image_at(u->search, unwinder->address_of(context), &index) != NULL)
        u->search->seen[index] = true;
    if (unwinder->frame_of(context) > u->reached)
        u->reached = unwinder->frame_of(context);
    return _URC_NO_REASON;
}

/* The unwinder is found as announce.c finds it; without one, every word counts. */
static void unwind(struct unwinding *u)
{
    _Unwind_Reason_Code (*walk)(_Unwind_Trace_Fn, void *) = lb_process.unwinder.backtrace;
    if (walk != NULL)
        walk(see_frame, u);
}

static uint64_t own_stack_end(void)
{
    static _Thread_local uint64_t known;
    pthread_attr_t attributes;
    void *address;
    size_t size;
    if (known == 0 && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &address, &size) == 0)
            known = (uint64_t)(uintptr_t)address + size;
        pthread_attr_destroy(&attributes);
    }
    return known;
}

/* A word of a stack, whoever it belongs to: the address sanitizer would have no frame look into another. */
__attribute__((no_sanitize_address, noinline)) static uint64_t stack_word(uint64_t address)
{
    return *(const volatile uint64_t *)lb_pointer(address);
}

static void look_at_own_stack(struct search *s)
{
    struct unwinding u = {.search = s};
    size_t index;
    bool is_walked = false;
    uint64_t end = own_stack_end();
    for (uint64_t at = (uint64_t)(uintptr_t)__builtin_frame_address(0) & ~7ull; at < end && end - at >= 8; at += 8) {
        if (!is_return_address(s, stack_word(at), &index))
            continue;
        if (!is_walked)
            unwind(&u);
        is_walked = true;
        if (at >= u.reached)
            s->seen[index] = true;
    }
}

/* ---- other threads -------------------------------------------------------------------------------------------------- */

static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    text[n] = 0;
    return true;
}

/* The stack pointer of a thread that waits; 0: it runs on, and 1: there is none, the thread has ended. */
static uint64_t stack_pointer(long thread)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%ld/syscall", thread);
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (!read_file(path, text, sizeof text))
            return 1;
        char *last = strrchr(text, ' '), *before = NULL;
        if (last != NULL) {
            *last = 0;
            before = strrchr(text, ' ');
        }
        if (before != NULL)
            return strtoull(before + 1, NULL, 16);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return 0;
}

static char *read_maps(void)
{
    size_t size = 0, room = 65536;
    char *text = malloc(room);
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n = 1; text != NULL && fd >= 0 && n > 0; size += n > 0 ? (size_t)n : 0) {
        if (room - size < 8192) {
            char *more = realloc(text, room *= 2);
            if (more == NULL)
                break;
            text = more;
        }
        n = read(fd, text + size, room - size - 1);
    }
    if (fd >= 0)
        close(fd);
    if (text != NULL)
        text[size] = 0;
    return text;
}

static bool find_mapping(struct search *s, uint64_t address, struct lb_range *found)
{
    if (s->maps == NULL)
        s->maps = read_maps();
    for (const char *line = s->maps; line != NULL && *line != 0;) {
        char *rest;
        uint64_t low = strtoull(line, &rest, 16), high = *rest == '-' ? strtoull(rest + 1, NULL, 16) : 0;
        if (address >= low && address < high) {
            *found = (struct lb_range){low, high - low};
            return true;
        }
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return false;
}

/* Where the C library keeps the thread's own record, above its frames: it holds the kernel's list of robust locks. */
static uint64_t record_of(long thread)
{
    void *head = NULL;
    size_t size;
    return syscall(SYS_get_robust_list, thread, &head, &size) == 0 ? (uint64_t)(uintptr_t)head : 0;
}

/* Reads this process's memory; the thread may end, and its stack go, at any time. */
static size_t peek(uint64_t address, void *out, size_t size)
{
    struct iovec local = {out, size}, remote = {lb_pointer(address), size};
    ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    return n < 0 ? 0 : (size_t)n;
}

/* From the end down, so that the unused part of a stack need not be read.  False: something there is not mapped. */
static bool look_at_words(struct search *s, uint64_t low, uint64_t high, bool to_the_low_end)
{
    uint64_t words[512], empty = 0;
    size_t index;
    low = (low + 7) & ~7ull;
    high &= ~7ull;
    while (high > low && (to_the_low_end || empty < EMPTY_BYTES)) {
        size_t size = high - low < sizeof words ? (size_t)(high - low) : sizeof words, n = peek(high - size, words, size);
        if (n != size)
            return false;
        for (size_t i = size / 8; i-- != 0;) {
            empty = words[i] == 0 ? empty + 8 : 0;
            if (is_return_address(s, words[i], &index))
                s->seen[index] = true;
        }
        high -= size;
    }
    return true;
}

/* A thread's frames end at its record, and the first thread's at its arguments; where the stack is another one (that of
 * a coroutine, say), at the end of the mapping. */
static void look_at_thread(struct search *s, long thread)
{
    uint64_t pointer = stack_pointer(thread);
    uint64_t end = thread == getpid() ? (uint64_t)(uintptr_t)lb_process.arguments : record_of(thread);
    struct lb_range mapping;
    if (pointer == 1)
        return;
    if (pointer != 0 && end > pointer && end - pointer < LARGEST_STACK && look_at_words(s, pointer, end, true))
        return;
    if (!find_mapping(s, pointer != 0 ? pointer : end, &mapping))
        return;
    if (pointer != 0)
        look_at_words(s, pointer, mapping.address + mapping.size, true);
    else
        look_at_words(s, mapping.address, end, false);
}

static void look_at_others(struct search *s)
{
    DIR *tasks = opendir("/proc/self/task");
    long own = syscall(SYS_gettid);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        long thread = strtol(entry->d_name, NULL, 10);
        if (thread <= 0 || thread == own)
            continue;
        memset(s->seen, 0, s->count);
        look_at_thread(s, thread);
        for (size_t i = 0; i < s->count; i++)
            s->threads[i] += s->seen[i];
    }
    if (tasks != NULL)
        closedir(tasks);
}

int lb_threads_running(struct lb_image *const *images, size_t count, uint32_t *threads)
{
    struct search s = {.images = images, .count = count, .threads = threads, .low = UINT64_MAX};
    memset(threads, 0, count * sizeof *threads);
    if (count == 0)
        return 0;
    s.seen = calloc(count, sizeof *s.seen);
    if (s.seen == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        s.low = images[i]->start < s.low ? images[i]->start : s.low;
        s.high = images[i]->start + images[i]->span > s.high ? images[i]->start + images[i]->span : s.high;
    }
    look_at_own_stack(&s);
    for (size_t i = 0; i < count; i++)
        threads[i] += s.seen[i];
    if (!__libc_single_threaded)
        look_at_others(&s);
    for (size_t i = 0; i < count; i++) {
        uint64_t started = __atomic_load_n(&images[i]->threads, __ATOMIC_ACQUIRE);
        threads[i] = threads[i] < started ? (uint32_t)started : threads[i];
    }
    free(s.seen);
    free(s.maps);
    return 0;
}
