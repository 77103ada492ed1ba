/* Tokens: see token.h.  A chain is as long as deadlines are nested, so walking it is short. */
#define _GNU_SOURCE
#include "token.h"

#include <stddef.h>
#include <time.h>

static _Thread_local const struct lb_token *current;

const struct lb_token *lb_token_current(void)
{
    return current;
}

const struct lb_token *lb_token_exchange(const struct lb_token *token)
{
    const struct lb_token *before = current;

    current = token;
    return before;
}

void lb_token_cancel(struct lb_token *token)
{
    __atomic_store_n(&token->cancelled, 1, __ATOMIC_RELEASE);
}

bool lb_token_cancelled(const struct lb_token *token)
{
    for (; token; token = token->parent)
        if (__atomic_load_n(&token->cancelled, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

int64_t lb_token_deadline(const struct lb_token *token)
{
    int64_t earliest = INT64_MAX;

    for (; token; token = token->parent)
        if (token->deadline < earliest)
            earliest = token->deadline;
    return earliest;
}

bool lb_token_over(const struct lb_token *token)
{
    int64_t deadline;
    struct timespec now;

    if (!token)
        return false;
    if (lb_token_cancelled(token))
        return true;
    if ((deadline = lb_token_deadline(token)) == INT64_MAX)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: POSIX requires this clock of Linux */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec >= deadline;
}
