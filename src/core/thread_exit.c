/* Destructors of thread_local objects, counted, so that code is not unmapped under them.
 *
 * A C++ or Rust object registers them with __cxa_thread_atexit[_impl](destructor, object, dso_handle).  The C library
 * keeps the system linker's objects loaded meanwhile, found by dso_handle; ours it takes for the program's.  So our
 * objects call this instead: the image is counted up, and down again when the destructor has run.  The C library still
 * keeps the list of each thread and its order. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "image.h"
#include "services.h"

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle __attribute__((visibility("hidden"))); /* the core's: it must stay as well */

struct pending {
    void (*run)(void *);
    void *object;
    struct lb_image *image;
};

static void run_pending(void *data)
{
    struct pending p = *(struct pending *)data;
    free(data);
    p.run(p.object);
    __atomic_sub_fetch(&p.image->thread_destructors, 1, __ATOMIC_RELEASE);
}

int lb_thread_atexit(void (*run)(void *), void *object, void *dso)
{
    struct lb_image *image = lb_image_holding((uint64_t)(uintptr_t)dso);
    if (image == NULL)
        return __cxa_thread_atexit_impl(run, object, dso);
    struct pending *p = malloc(sizeof *p);
    if (p == NULL)
        return -1;
    *p = (struct pending){run, object, image};
    __atomic_add_fetch(&image->thread_destructors, 1, __ATOMIC_RELAXED);
    int result = __cxa_thread_atexit_impl(run_pending, p, &__dso_handle);
    if (result != 0) {
        __atomic_sub_fetch(&image->thread_destructors, 1, __ATOMIC_RELAXED);
        free(p);
    }
    return result;
}
