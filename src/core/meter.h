/* Counts the calls of one method: how many, how many failed, how many are under way, and how long they took. */
#ifndef LATEBIND_METER_H
#define LATEBIND_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define LB_METER_BUCKETS 48u

struct lb_meter { /* any thread counts; whoever reads sees each number whole, not all of them at one moment */
    uint64_t errors, running, total;    /* nanoseconds of the calls that ended */
    uint64_t buckets[LB_METER_BUCKETS]; /* [i]: calls of at least 2**i ns and less than twice that */
};

static inline uint64_t lb_meter_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A call begins; answers what lb_meter_end wants. */
static inline uint64_t lb_meter_begin(struct lb_meter *meter)
{
    __atomic_add_fetch(&meter->running, 1, __ATOMIC_RELAXED);
    return lb_meter_clock();
}

/* It turned out to be none. */
static inline void lb_meter_cancel(struct lb_meter *meter)
{
    __atomic_sub_fetch(&meter->running, 1, __ATOMIC_RELAXED);
}

static inline void lb_meter_end(struct lb_meter *meter, uint64_t begun, bool failed)
{
    const uint64_t taken = lb_meter_clock() - begun;
    const uint32_t bucket = 63u - (uint32_t)__builtin_clzll(taken | 1);
    __atomic_add_fetch(&meter->total, taken, __ATOMIC_RELAXED);
    __atomic_add_fetch(&meter->buckets[bucket < LB_METER_BUCKETS ? bucket : LB_METER_BUCKETS - 1], 1, __ATOMIC_RELAXED);
    if (failed)
        __atomic_add_fetch(&meter->errors, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&meter->running, 1, __ATOMIC_RELAXED);
}

#endif
