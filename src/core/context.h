/* Call contexts: what a plugin sees as lb_context, and what its host keeps behind it.
 *
 * One context serves one call at a time: an arena for the results that lb_alloc hands out, and the message that
 * lb_fail formats.  Knows no Python, so that the worker can use it as it is. */
#ifndef LATEBIND_CONTEXT_H
#define LATEBIND_CONTEXT_H

#include "latebind.h"

/* Bytes of a failure's message that are kept, with the terminating zero. */
#define LB_MESSAGE_SIZE 2048

enum lb_ownership {
    LB_OUTSIDE, /* no block of the arena begins there */
    LB_INSIDE,  /* the whole range was handed out by lb_alloc */
    LB_BEYOND,  /* it begins in the arena and reaches beyond what was handed out */
};

/* A new, empty context, or NULL without memory. */
lb_context *lb_context_new(void);
void lb_context_free(lb_context *ctx);

/* Ready for the next call: everything from lb_alloc ends, the message is forgotten, `state` stays. */
void lb_context_reset(lb_context *ctx);

/* Where `size` bytes at `address` lie. */
enum lb_ownership lb_context_owns(const lb_context *ctx, const void *address, size_t size);

/* Copy what a plugin points at: the one way by which the host reads it.  Memory of the arena is checked against what
 * lb_alloc handed out; any other memory is read through the kernel, which answers EFAULT where a plain copy would end
 * the process.  LB_INSIDE: it is copied.  LB_OUTSIDE: that memory is not there. */
enum lb_ownership lb_context_copy(const lb_context *ctx, void *target, const void *source, size_t size);

/* Leave a message without calling the call failed: a service that said no, which the plugin may live with. */
void lb_context_note(lb_context *ctx, const char *message);

/* The message, or NULL without one. */
const char *lb_context_message(const lb_context *ctx);

/* Whether the plugin called lb_fail since the last reset. */
bool lb_context_failed(const lb_context *ctx);

/* Whether the plugin was told since the last reset, when it asked, that nobody waits for the answer (token.h). */
bool lb_context_cut_short(const lb_context *ctx);

#endif
