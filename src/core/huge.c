/* huge.h says what for. */
#define _GNU_SOURCE
#include "huge.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"
#include "parallel.h"

const struct lb_plan_segment *lb_huge_find(const struct lb_execution *run, const struct lb_member *member)
{
    const struct lb_plan_object *o = member->record;
    if (member->fd < 0 || o->segments == 0 || o->align != run->page)
        return NULL;
    const struct lb_plan_segment *last = &run->plan.segments[o->first_segment + o->segments - 1];
    return last->file_size >= LB_HUGE_PAGE && lb_is_rewritten(run, o, last) ? last : NULL;
}

int lb_huge_begin(const struct lb_execution *run, struct lb_member *member)
{
    struct lb_huge *huge = &member->huge;
    const struct lb_plan_segment *s = huge->segment;
    const uint64_t head = s->address & (run->page - 1);
    huge->to = member->base + s->address - head;
    huge->from = s->file_offset - head;
    huge->size = head + s->file_size;
    huge->room = member->image->start + member->image->span - huge->to;
    if (mmap(lb_pointer(huge->to), huge->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return -1;
    (void)madvise(lb_pointer(huge->to), huge->room, MADV_HUGEPAGE); /* advice: where there are none, small pages do */
    const uint32_t parts = (uint32_t)((huge->size + LB_HUGE_PAGE - 1) / LB_HUGE_PAGE);
    __atomic_store_n(&huge->parts, parts, __ATOMIC_RELEASE); /* from now on, both threads may read them */
    return 0;
}

static void fail(struct lb_huge *huge, int failure)
{
    int none = 0;
    __atomic_compare_exchange_n(&huge->failure, &none, failure, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void read_part(struct lb_huge *huge, int fd, uint32_t part)
{
    uint64_t at = part * LB_HUGE_PAGE, end = at + LB_HUGE_PAGE < huge->size ? at + LB_HUGE_PAGE : huge->size;
    while (at < end) {
        ssize_t got = pread(fd, lb_pointer(huge->to + at), end - at, (off_t)(huge->from + at));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fail(huge, got < 0 ? errno : LB_HUGE_CUT_OFF);
            return;
        }
        at += (uint64_t)got;
    }
}

static void read_parts(struct lb_member *member)
{
    struct lb_huge *huge = &member->huge;
    const uint32_t parts = __atomic_load_n(&huge->parts, __ATOMIC_ACQUIRE);
    for (uint32_t part; parts != 0 && (part = __atomic_fetch_add(&huge->next, 1, __ATOMIC_RELAXED)) < parts;)
        read_part(huge, member->fd, part);
}

void lb_huge_read(struct lb_execution *run)
{
    for (uint32_t i = 0; i < run->plan.object_count; i++)
        if (run->members[i].is_own)
            read_parts(&run->members[i]);
}

static void read_half(void *member, int half)
{
    (void)half;
    read_parts(member);
}

int lb_huge_end(struct lb_member *member)
{
    if (member->huge.next < member->huge.parts)
        (void)lb_in_halves(read_half, member); /* nothing in it forks */
    return member->huge.failure;
}
