/* Giving memory back, for good in the end.
 *
 * munmap(2) can fail: where the range has grown together with its neighbours, the kernel must split a mapping, and a
 * process that has as many as it may (vm.max_map_count) gets ENOMEM.  Nothing can be done at that moment, and the caller
 * is on its way out.  So the range is noted, and tried again whenever something else is mapped or unmapped. */
#include <stdlib.h>
#include <sys/mman.h>

#include "image.h"

struct lb_unmapped {
    struct lb_unmapped *next;
    uint64_t start, size;
};

static void note(struct lb_unmapped *range)
{
    range->next = __atomic_load_n(&lb_process.unmapped, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&lb_process.unmapped, &range->next, range, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

void lb_unmap_rest(void)
{
    if (__atomic_load_n(&lb_process.unmapped, __ATOMIC_RELAXED) == NULL)
        return;
    struct lb_unmapped *range = __atomic_exchange_n(&lb_process.unmapped, NULL, __ATOMIC_ACQUIRE);
    while (range != NULL) {
        struct lb_unmapped *next = range->next;
        if (munmap(lb_pointer(range->start), range->size) == 0)
            free(range);
        else
            note(range);
        range = next;
    }
}

void lb_unmap(uint64_t start, uint64_t size)
{
    lb_unmap_rest();
    if (munmap(lb_pointer(start), size) == 0)
        return;
    struct lb_unmapped *range = malloc(sizeof *range);
    if (range == NULL)
        return; /* then it stays: only address space is lost, and there is nobody to tell */
    range->start = start;
    range->size = size;
    note(range);
}
