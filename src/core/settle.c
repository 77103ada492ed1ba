/* See settle.h. */
#include "settle.h"

#include <stdlib.h>
#include <string.h>

struct span {
    uint64_t address, count;
};

static int settle(const struct lb_shape *shape, uint8_t *image, lb_context *arena, const lb_context *from);

/* Copies a span's elements to the arena, then settles each.  `from` is NULL for arguments, which the callee would read
 * where they are. */
static int move(const struct lb_part *part, struct span *span, lb_context *arena, const lb_context *from)
{
    const bool is_text = part->kind == LB_PART_TEXT;
    uint64_t bytes, room;
    if (span->address == 0 || __builtin_mul_overflow(span->count, part->size, &bytes) ||
        __builtin_add_overflow(bytes, (uint64_t)is_text, &room))
        return -1;
    uint8_t *to = lb_alloc(arena, room);
    const void *source = (const void *)(uintptr_t)span->address;
    if (to == NULL)
        return -1;
    if (from == NULL)
        memcpy(to, source, bytes);
    else if (lb_context_copy(from, to, source, bytes) != LB_INSIDE)
        return -1;
    if (is_text)
        to[bytes] = 0;
    for (uint64_t i = 0; part->shape.count != 0 && i < span->count; i++)
        if (settle(&part->shape, to + i * part->size, arena, from) < 0)
            return -1;
    span->address = (uint64_t)(uintptr_t)to;
    return 0;
}

static int settle_span(const struct lb_part *part, uint8_t *at, lb_context *arena, const lb_context *from)
{
    static const uint64_t nothing[2];
    const bool must_move = from != NULL || part->kind == LB_PART_TEXT || part->shape.count != 0;
    struct span span;
    memcpy(&span, at, sizeof span);
    if (span.count == 0)
        span.address = (uint64_t)(uintptr_t)nothing; /* never null, and the empty text */
    else if (span.address == 0 || (must_move && move(part, &span, arena, from) < 0))
        return -1;
    memcpy(at, &span, sizeof span);
    return 0;
}

static int settle(const struct lb_shape *shape, uint8_t *image, lb_context *arena, const lb_context *from)
{
    for (uint32_t i = 0; i < shape->count; i++) {
        const struct lb_part *part = &shape->parts[i];
        if (part->kind != LB_PART_INSIDE) {
            if (settle_span(part, image + part->offset, arena, from) < 0)
                return -1;
        } else if (image[part->flag] != 0 && settle(&part->shape, image + part->offset, arena, from) < 0) {
            return -1;
        }
    }
    return 0;
}

int lb_settle_argument(const struct lb_shape *shape, uint8_t *image, lb_context *arena)
{
    return settle(shape, image, arena, NULL);
}

int lb_settle_answer(const struct lb_shape *shape, uint8_t *image, lb_context *arena, const lb_context *from)
{
    return settle(shape, image, arena, from);
}

void lb_shape_free(struct lb_shape *shape)
{
    for (uint32_t i = 0; i < shape->count; i++)
        lb_shape_free(&shape->parts[i].shape);
    free(shape->parts);
    *shape = (struct lb_shape){0, NULL};
}
