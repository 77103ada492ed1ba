/* The calls of one loaded plugin: a context for each that is under way, taken from a pool and given back.
 *
 * A service that a plugin calls is handed the context's address and nothing else; lb_pool_find turns it back into the
 * call.  Any thread may begin and end calls, with and without the interpreter. */
#ifndef LATEBIND_POOL_H
#define LATEBIND_POOL_H

#include "context.h"
#include "gate.h"

struct lb_call {
    lb_context *context;
    struct lb_call *next, *next_idle;
    void *cause;  /* what a service failed with in this call: whoever sets it takes it away before the end */
    bool running;
};

#define LB_POOL_IMAGE 8u

struct lb_pool {
    struct lb_call *known; /* all of them, newest first; none is freed before the pool is */
    struct lb_call *idle;
    uint32_t lock;    /* of `idle`, for a few instructions */
    uint32_t untidy;  /* whether something waits to be closed before the next call from Python */
    bool is_serial;
    struct lb_serial serial;
    void *state; /* the plugin's own, with which every call starts */
    uint32_t image_count; /* where the plugin's own file is mapped readable: set before the first call */
    struct {
        uint64_t start, end;
    } image[LB_POOL_IMAGE];
};

/* Whether memory lies in the plugin's image, which stays there while a call runs. */
static inline bool lb_pool_holds(const struct lb_pool *pool, uint64_t address, uint64_t size)
{
    for (uint32_t i = 0; i < pool->image_count; i++)
        if (address >= pool->image[i].start && address < pool->image[i].end && size <= pool->image[i].end - address)
            return true;
    return false;
}

/* NULL without memory. */
struct lb_call *lb_pool_begin(struct lb_pool *pool);
/* Everything that the call's context allocated ends. */
void lb_pool_end(struct lb_pool *pool, struct lb_call *call);
/* The running call whose context lies at `address`, or NULL. */
struct lb_call *lb_pool_find(struct lb_pool *pool, uint64_t address);
/* No call may be under way. */
void lb_pool_free(struct lb_pool *pool);

#endif
