/* Waiting for a word of memory to change, and telling those who wait: futex(2) within one process. */
#ifndef LATEBIND_FUTEX_H
#define LATEBIND_FUTEX_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first #include: syscall() depends on it"
#endif
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Returns when the word is no longer `seen`, when woken, when a signal came, or after `nanoseconds`: look again. */
static inline void lb_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds)
{
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
}

static inline void lb_futex_wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#endif
