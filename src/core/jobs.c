/* Binding many objects by two threads; jobs.h says how they share the work. */
#define _GNU_SOURCE
#include "jobs.h"
#include "futex.h"
#include "parallel.h"

#include <errno.h>
#include <stdlib.h>

enum {
    FEW = 24000,          /* bytes of relocations: so many one thread binds before another has come and gone */
    PATIENCE = 100000000, /* nanoseconds; a sleeper is woken, and looks again by itself only in case */
};

enum progress { /* of a job; whoever waits for its preparation says so before it sleeps */
    UNPREPARED,
    AWAITED,
    PREPARED,
};

struct thread { /* what it works with */
    struct lb_reference_list references;
    struct lb_scratch *scratch;
};

struct batch {
    struct lb_job *jobs;
    uint32_t count, next; /* the next job that nobody prepares */
    struct thread threads[2];
};

/* ---- one job --------------------------------------------------------------------------------------------------------- */

static enum lb_failure failure_of(int number, enum lb_failure invalid)
{
    return number == ENOMEM ? LB_FAILED_MEMORY : number == E2BIG ? LB_FAILED_TYPES : invalid;
}

static enum lb_failure gather(struct lb_job *job, struct lb_reference_list *list)
{
    const struct lb_view *view = &job->request.referrer->view;
    for (uint32_t i = 0; i < job->table_count; i++)
        if (lb_references_add(list, view, &job->tables[i], job->relative) < 0)
            return failure_of(errno, LB_FAILED_TABLE);
    for (uint32_t i = 0; i < job->other_count; i++) {
        job->bad_symbol = job->others[i].symbol;
        if (lb_references_note(list, view, job->others[i].symbol, job->others[i].type) < 0)
            return failure_of(errno, LB_FAILED_SYMBOL);
    }
    return LB_FAILED_NOT;
}

static void prepare(struct lb_job *job, struct lb_reference_list *list)
{
    job->failure = gather(job, list);
    if (job->failure == LB_FAILED_NOT && lb_bound_begin(&job->request, list, &job->bound) < 0)
        job->failure = LB_FAILED_MEMORY;
    job->most = (UINT64_C(1) << 26) + list->count * job->request.scope_count * 1024;
    lb_references_clear(list);
}

/* Blocks are taken in order, and whoever has one finishes it: the least is the same whichever thread meets it first. */
static void note_bad_row(struct lb_job *job, uint32_t row)
{
    uint32_t least = __atomic_load_n(&job->bad_row, __ATOMIC_RELAXED);
    while (row < least && !__atomic_compare_exchange_n(&job->bad_row, &least, row, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* Two threads may spend twice what is left, but no more. */
static void bind_block(struct lb_job *job, uint32_t first, struct lb_scratch *scratch)
{
    uint64_t spent = __atomic_load_n(&job->spent, __ATOMIC_RELAXED);
    uint64_t room = spent < job->most ? job->most - spent : 0, left = room;
    uint32_t bad_row;
    if (lb_bound_block(&job->request, &job->bound, first, scratch, &left, &bad_row) < 0)
        note_bad_row(job, bad_row);
    __atomic_fetch_add(&job->spent, room - left, __ATOMIC_RELAXED);
}

/* Those blocks of it that nobody has. */
static void bind_blocks(struct lb_job *job, struct lb_scratch *scratch)
{
    while (job->failure == LB_FAILED_NOT && __atomic_load_n(&job->bad_row, __ATOMIC_RELAXED) == UINT32_MAX) {
        uint32_t first = __atomic_fetch_add(&job->next_block, 1, __ATOMIC_RELAXED);
        if (first >= lb_bound_blocks(&job->bound))
            return;
        bind_block(job, first, scratch);
    }
}

/* What only all of its blocks together say. */
static void finish(struct lb_job *job)
{
    if (job->failure != LB_FAILED_NOT)
        return;
    if (job->bad_row != UINT32_MAX) {
        job->bad_symbol = job->bound.rows[job->bad_row].symbol;
        job->failure = LB_FAILED_SYMBOL;
    } else if (job->spent >= job->most) {
        job->failure = LB_FAILED_END;
    }
}

/* ---- many ------------------------------------------------------------------------------------------------------------ */

static void tell(struct lb_job *job)
{
    if (__atomic_exchange_n(&job->state, PREPARED, __ATOMIC_RELEASE) == AWAITED)
        lb_futex_wake(&job->state, 1);
}

/* Until the other thread has prepared it. */
static void await(struct lb_job *job)
{
    uint32_t state = UNPREPARED;
    __atomic_compare_exchange_n(&job->state, &state, AWAITED, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) != PREPARED)
        lb_futex_wait(&job->state, AWAITED, PATIENCE);
}

/* First the jobs that nobody has begun, each from its beginning to its end; then what is left of the others. */
static void work(void *data, int half)
{
    struct batch *batch = data;
    struct thread *own = &batch->threads[half];
    for (uint32_t i; (i = __atomic_fetch_add(&batch->next, 1, __ATOMIC_RELAXED)) < batch->count;) {
        prepare(&batch->jobs[i], &own->references);
        tell(&batch->jobs[i]);
        bind_blocks(&batch->jobs[i], own->scratch);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        await(&batch->jobs[i]);
        bind_blocks(&batch->jobs[i], own->scratch);
    }
}

static bool is_worth_a_thread(const struct lb_job *jobs, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t t = 0; t < jobs[i].table_count; t++)
            if (__builtin_add_overflow(bytes, jobs[i].tables[t].size, &bytes))
                return true;
    return bytes >= FEW;
}

void lb_jobs_do(struct lb_job *jobs, uint32_t count)
{
    struct batch batch = {.jobs = jobs, .count = count, .threads[0].scratch = lb_scratch_make()};
    struct thread *first = &batch.threads[0], *second = &batch.threads[1];
    for (uint32_t i = 0; i < count; i++) {
        jobs[i].bad_row = UINT32_MAX;
        jobs[i].failure = first->scratch ? LB_FAILED_NOT : LB_FAILED_MEMORY;
    }
    if (first->scratch && is_worth_a_thread(jobs, count))
        second->scratch = lb_scratch_make();
    if (second->scratch)
        lb_in_halves(work, &batch);
    else if (first->scratch)
        work(&batch, 0);
    for (uint32_t i = 0; i < count; i++)
        finish(&jobs[i]);
    for (uint32_t i = 0; i < 2; i++) {
        lb_references_release(&batch.threads[i].references);
        free(batch.threads[i].scratch);
    }
}
