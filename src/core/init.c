/* Constructors and destructors (gABI chapter 5, "Initialization and Termination Functions").
 *
 * DT_INIT, then DT_INIT_ARRAY in order; DT_FINI_ARRAY in reverse, then DT_FINI.  Constructors get (argc, argv, envp) as
 * glibc gives them.  The order among objects is the plan's and the caller's business.  An object is marked before its
 * functions run, so that a constructor that comes back here does not start over. */
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

void lb_image_initialize(struct lb_image *image)
{
    if (image->span == 0 || !advance(image, LB_STAGE_LOADED, LB_STAGE_INITIALIZED))
        return;
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
