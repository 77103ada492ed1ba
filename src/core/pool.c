/* See pool.h. */
#define _GNU_SOURCE
#include "pool.h"

#include <sched.h>
#include <stdlib.h>

static void lock(struct lb_pool *pool)
{
    while (__builtin_expect(__atomic_exchange_n(&pool->lock, 1, __ATOMIC_ACQUIRE), 0))
        sched_yield(); /* its owner was interrupted: the lock is held for a few instructions only */
}

static void unlock(struct lb_pool *pool)
{
    __atomic_store_n(&pool->lock, 0, __ATOMIC_RELEASE);
}

static struct lb_call *add(struct lb_pool *pool)
{
    struct lb_call *call = calloc(1, sizeof *call);
    if (call == NULL || (call->context = lb_context_new()) == NULL) {
        free(call);
        return NULL;
    }
    call->next = __atomic_load_n(&pool->known, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&pool->known, &call->next, call, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
    return call;
}

struct lb_call *lb_pool_begin(struct lb_pool *pool)
{
    lock(pool);
    struct lb_call *call = pool->idle;
    if (call != NULL)
        pool->idle = call->next_idle;
    unlock(pool);
    if (call == NULL && (call = add(pool)) == NULL)
        return NULL;
    call->context->state = pool->state;
    __atomic_store_n(&call->running, true, __ATOMIC_RELEASE);
    return call;
}

void lb_pool_end(struct lb_pool *pool, struct lb_call *call)
{
    __atomic_store_n(&call->running, false, __ATOMIC_RELEASE);
    lb_context_reset(call->context);
    lock(pool);
    call->next_idle = pool->idle;
    pool->idle = call;
    unlock(pool);
}

struct lb_call *lb_pool_find(struct lb_pool *pool, uint64_t address)
{
    struct lb_call *call = __atomic_load_n(&pool->known, __ATOMIC_ACQUIRE);
    while (call != NULL && (uint64_t)(uintptr_t)call->context != address)
        call = call->next;
    return call != NULL && __atomic_load_n(&call->running, __ATOMIC_ACQUIRE) ? call : NULL;
}

void lb_pool_free(struct lb_pool *pool)
{
    while (pool->known != NULL) {
        struct lb_call *call = pool->known;
        pool->known = call->next;
        lb_context_free(call->context);
        free(call);
    }
    pool->idle = NULL;
}
