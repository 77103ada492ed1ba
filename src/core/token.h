/* Tokens: whether whoever made a call still wants its answer, and until when.
 *
 * A thread has at most one current token.  Calls do not carry it: lb_cancelled looks at that of the thread it is asked
 * in, so a call costs nothing for it, and a call within a call (plugin, service, plugin) sees what the outer one sees.
 * Knows no Python, so that the worker can use it as it is. */
#ifndef LATEBIND_TOKEN_H
#define LATEBIND_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

struct lb_token {
    int64_t deadline;              /* nanoseconds of CLOCK_MONOTONIC; INT64_MAX without one */
    uint32_t cancelled;            /* set by any thread, atomically, and never unset */
    const struct lb_token *parent; /* whose end is the end of this one too; outlives it */
};

/* The calling thread's token, or NULL. */
const struct lb_token *lb_token_current(void);

/* Make `token` (or NULL) the calling thread's; answers the one before. */
const struct lb_token *lb_token_exchange(const struct lb_token *token);

void lb_token_cancel(struct lb_token *token);

/* Whether it or one above it was cancelled; its deadline does not count. */
bool lb_token_cancelled(const struct lb_token *token);

/* The earliest deadline of it and those above it. */
int64_t lb_token_deadline(const struct lb_token *token);

/* Whether it or one above it was cancelled or has passed its deadline; false for NULL. */
bool lb_token_over(const struct lb_token *token);

#endif
