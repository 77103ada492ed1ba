/* Constructors and destructors (gABI chapter 5, "Initialization and Termination Functions").
 *
 * DT_INIT, then DT_INIT_ARRAY in order; DT_FINI_ARRAY in reverse, then DT_FINI.  Constructors get (argc, argv, envp) as
 * glibc gives them.  The order among objects is the plan's and the caller's business.  An object is marked before its
 * functions run, so that a constructor that comes back here does not start over.  Unlike glibc we see that
 * all of them lead to code before any is called. */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <unistd.h>

#include "image.h"

typedef void constructor(int, char **, char **);
typedef void destructor(void);

extern char **environ;

static bool advance(struct lb_image *image, int from, int to)
{
    return __atomic_compare_exchange_n(&image->stage, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void construct(uint64_t address)
{
    ((constructor *)(uintptr_t)address)(lb_process.argument_count, lb_process.arguments, environ);
}

static int check_array(struct lb_execution *run, struct lb_member *m, const struct lb_range *array, const char *name)
{
    for (uint64_t i = 0; i < array->size; i += 8) {
        uint64_t function = lb_load64(m->base + array->address + i);
        if (lb_image_at(m->image, function - m->base, 1, PF_X) == 0 && !lb_is_code(run, function))
            return lb_fail(run->error, LB_MALFORMED, m->index, array->address + i,
                           "entry %llu of %s leads to %p, where no code is", (unsigned long long)(i / 8), name,
                           lb_pointer(function));
    }
    return 0;
}

int lb_init_check(struct lb_execution *run, struct lb_member *member)
{
    if (check_array(run, member, &member->image->init_array, "DT_INIT_ARRAY") < 0)
        return -1;
    return check_array(run, member, &member->image->fini_array, "DT_FINI_ARRAY");
}

void lb_image_initialize(struct lb_image *image)
{
    if (image->span == 0 || !advance(image, LB_STAGE_LOADED, LB_STAGE_INITIALIZED))
        return;
    image->turn = __atomic_add_fetch(&lb_process.turns, 1, __ATOMIC_RELAXED);
    if (image->init != 0)
        construct(image->base + image->init);
    for (uint64_t i = 0; i < image->init_array.size; i += 8)
        construct(lb_load64(image->base + image->init_array.address + i));
}

void lb_image_finalize(struct lb_image *image)
{
    if (image->span == 0 || !advance(image, LB_STAGE_INITIALIZED, LB_STAGE_FINALIZED))
        return;
    for (uint64_t i = image->fini_array.size; i != 0; i -= 8)
        ((destructor *)(uintptr_t)lb_load64(image->base + image->fini_array.address + i - 8))();
    if (image->fini != 0)
        ((destructor *)(uintptr_t)(image->base + image->fini))();
}

/* The process ends: what is still loaded gets its destructors, the last initialised first, as glibc does for its own
 * (elf/dl-fini.c).  Nothing is unmapped: threads may still run in it.  This is a destructor of the core itself, which the
 * system's linker runs after everything that was registered with atexit. */
__attribute__((destructor)) static void finalize_all(void)
{
    for (;;) {
        struct lb_image *last = NULL;
        pthread_mutex_lock(&lb_process.lock);
        for (struct lb_image *image = lb_process.images; image != NULL; image = image->next) {
            bool waits = __atomic_load_n(&image->stage, __ATOMIC_ACQUIRE) == LB_STAGE_INITIALIZED;
            if (waits && (last == NULL || image->turn > last->turn))
                last = image;
        }
        pthread_mutex_unlock(&lb_process.lock);
        if (last == NULL)
            return;
        lb_image_finalize(last);
    }
}
