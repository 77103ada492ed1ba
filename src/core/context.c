/* lb_context: the arena that a plugin's results live in, and the message of a failure.
 *
 * The arena is a chain of blocks, filled from the front.  A block never moves, so an address stays good until the
 * reset.  lb_context_owns is what lets the host refuse a result that reaches beyond its memory. */
#define _GNU_SOURCE
#include "context.h"

#include "token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALIGNMENT 16u      /* of every result: enough for any scalar and for SSE */
#define BLOCK_SIZE 4096u   /* bytes of a block's payload, unless a result needs more */
#define KEEP_SIZE 65536u   /* a block up to this size survives a reset, for the next call */

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) unsigned char data[];
};

struct context {
    lb_context face; /* first: its address is the context's */
    struct block *blocks;
    bool failed, noted, cut_short;
    char message[LB_MESSAGE_SIZE];
};

_Static_assert(offsetof(struct context, face) == 0, "lb_context must come first");

static struct context *behind(lb_context *ctx)
{
    return (struct context *)ctx;
}

static struct block *add_block(struct context *c, size_t size)
{
    size_t payload = size > BLOCK_SIZE ? size : BLOCK_SIZE, total;
    struct block *block;

    if (__builtin_add_overflow(payload, sizeof *block, &total) || !(block = malloc(total)))
        return NULL;
    block->size = payload;
    block->used = 0;
    block->next = c->blocks;
    c->blocks = block;
    return block;
}

static void *alloc_result(lb_context *ctx, size_t size)
{
    struct context *c = behind(ctx);
    struct block *block = c->blocks;
    size_t rounded;
    void *result;

    /* A result of no bytes still gets an address of its own, so that null always means "no memory". */
    if (__builtin_add_overflow(size ? size : 1, ALIGNMENT - 1, &rounded))
        return NULL;
    rounded &= ~(size_t)(ALIGNMENT - 1);
    if ((!block || block->size - block->used < rounded) && !(block = add_block(c, rounded)))
        return NULL;
    result = block->data + block->used;
    block->used += rounded;
    return result;
}

/* Cut a message that did not fit at the start of a UTF-8 sequence, not within one. */
static void end_message(struct context *c)
{
    size_t end = LB_MESSAGE_SIZE - 1;

    while (end && ((unsigned char)c->message[end - 1] & 0xc0) == 0x80)
        end--;
    if (end && (unsigned char)c->message[end - 1] >= 0xc0)
        end--;
    c->message[end] = '\0';
}

static lb_status fail_call(lb_context *ctx, const char *format, va_list arguments)
{
    struct context *c = behind(ctx);
    int length = vsnprintf(c->message, sizeof c->message, format, arguments);

    if (length < 0)
        snprintf(c->message, sizeof c->message, "the message %.200s could not be formatted", format);
    else if ((size_t)length >= sizeof c->message)
        end_message(c);
    c->failed = true;
    return LB_FAILED;
}

/* The whole message as it is; what does not fit is cut at the start of a UTF-8 sequence. */
static lb_status fail_text(lb_context *ctx, lb_str message)
{
    struct context *c = behind(ctx);
    size_t size = message.data ? message.size : 0;

    if (size < sizeof c->message) {
        if (size)
            memcpy(c->message, message.data, size);
        c->message[size] = '\0';
    } else {
        memcpy(c->message, message.data, sizeof c->message - 1);
        end_message(c);
    }
    c->failed = true;
    return LB_FAILED;
}

static bool call_cancelled(lb_context *ctx)
{
    bool over = lb_token_over(lb_token_current());

    if (over)
        behind(ctx)->cut_short = true;
    return over;
}

static int64_t call_deadline(lb_context *ctx)
{
    (void)ctx;
    return lb_token_deadline(lb_token_current());
}

lb_context *lb_context_new(void)
{
    struct context *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->face.size = sizeof c->face;
    c->face.abi = LATEBIND_ABI;
    c->face.alloc = alloc_result;
    c->face.fail = fail_call;
    c->face.fail_text = fail_text;
    c->face.cancelled = call_cancelled;
    c->face.deadline = call_deadline;
    return &c->face;
}

void lb_context_reset(lb_context *ctx)
{
    struct context *c = behind(ctx);
    struct block *block = c->blocks, *kept = NULL;

    while (block) {
        struct block *next = block->next;
        if (!kept && block->size <= KEEP_SIZE)
            kept = block;
        else
            free(block);
        block = next;
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    c->blocks = kept;
    c->failed = c->noted = c->cut_short = false;
    c->message[0] = '\0';
}

void lb_context_free(lb_context *ctx)
{
    struct context *c = behind(ctx);

    if (!c)
        return;
    lb_context_reset(ctx);
    free(c->blocks);
    free(c);
}

enum lb_ownership lb_context_owns(const lb_context *ctx, const void *address, size_t size)
{
    uintptr_t at = (uintptr_t)address;

    for (const struct block *b = ((const struct context *)ctx)->blocks; b; b = b->next) {
        uintptr_t start = (uintptr_t)b->data;
        if (at < start || at >= start + b->size)
            continue;
        return at - start <= b->used && size <= b->used - (at - start) ? LB_INSIDE : LB_BEYOND;
    }
    return LB_OUTSIDE;
}

/* Copy memory of this process that may not be there.  Returns 0, or -1. */
static int copy_through_kernel(void *target, const void *source, size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct iovec here = {(char *)target + done, size - done};
        struct iovec there = {(char *)(uintptr_t)source + done, size - done};
        ssize_t count = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
        if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
            /* A container that forbids the call: inline isolation is no boundary anyway, so go without the check. */
            memcpy((char *)target + done, (const char *)source + done, size - done);
            return 0;
        }
        if (count <= 0)
            return -1;
        done += (size_t)count;
    }
    return 0;
}

enum lb_ownership lb_context_copy(const lb_context *ctx, void *target, const void *source, size_t size)
{
    enum lb_ownership ownership = lb_context_owns(ctx, source, size);

    if (ownership == LB_INSIDE)
        memcpy(target, source, size);
    else if (ownership == LB_OUTSIDE && copy_through_kernel(target, source, size) == 0)
        return LB_INSIDE;
    return ownership;
}

void lb_context_note(lb_context *ctx, const char *message)
{
    struct context *c = behind(ctx);
    int length = snprintf(c->message, sizeof c->message, "%s", message);

    if (length < 0 || (size_t)length >= sizeof c->message)
        end_message(c);
    c->noted = true;
}

const char *lb_context_message(const lb_context *ctx)
{
    const struct context *c = (const struct context *)ctx;

    return c->failed || c->noted ? c->message : NULL;
}

bool lb_context_failed(const lb_context *ctx)
{
    return ((const struct context *)ctx)->failed;
}

bool lb_context_cut_short(const lb_context *ctx)
{
    return ((const struct context *)ctx)->cut_short;
}
