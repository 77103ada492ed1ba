/* Values of contracts on their way from one plugin to another without Python: what they point to is moved where it lives
 * long enough.
 *
 * As an argument, text must end with a zero byte and no address may be null, which a caller need not have seen to.  As
 * an answer, everything must lie in the caller's arena: the memory of the plugin that answered is its own again when the
 * call is over, and gone when its code is exchanged.  A `shape` says where in a value's image its pointers are. */
#ifndef LATEBIND_SETTLE_H
#define LATEBIND_SETTLE_H

#include "context.h"

enum lb_part_kind {
    LB_PART_SPAN,   /* an address and a number of elements */
    LB_PART_TEXT,   /* the same, of UTF-8 */
    LB_PART_INSIDE, /* another image, that counts if a flag says so */
};

struct lb_shape {
    uint32_t count;
    struct lb_part *parts; /* owned */
};

struct lb_part {
    uint8_t kind;
    uint32_t offset; /* in the image */
    uint32_t flag;   /* of INSIDE: the offset of the byte that says whether it counts */
    uint32_t size;   /* of a span: bytes of one element */
    struct lb_shape shape; /* of an element, or of what is inside */
};

/* Moves what the image of an argument points to into `arena`, as far as it must be moved.  -1: an address is null, or
 * memory is short. */
int lb_settle_argument(const struct lb_shape *shape, uint8_t *image, lb_context *arena);
/* Moves what the image of an answer points to, memory of `from` or of anywhere, into `arena`.  -1: it is not there. */
int lb_settle_answer(const struct lb_shape *shape, uint8_t *image, lb_context *arena, const lb_context *from);

void lb_shape_free(struct lb_shape *shape);

#endif
