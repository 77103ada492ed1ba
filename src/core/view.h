/* A file's bytes, and reading numbers of them.  Every access to untrusted bytes goes through one of these accessors, which
 * check bounds; here they stand because a look-up makes dozens of them. */
#ifndef LATEBIND_VIEW_H
#define LATEBIND_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct lb_view { /* a file's bytes and how to read them */
    const uint8_t *data;
    uint64_t size;
    bool is64, swap;
};

/* Whether `size` bytes at `offset` are all in the file. */
static inline bool lb_in_view(const struct lb_view *view, uint64_t offset, uint64_t size)
{
    return offset <= view->size && size <= view->size - offset;
}

static inline bool lb_read16(const struct lb_view *view, uint64_t offset, uint16_t *out)
{
    if (!lb_in_view(view, offset, sizeof *out))
        return false;
    memcpy(out, view->data + offset, sizeof *out);
    if (view->swap)
        *out = __builtin_bswap16(*out);
    return true;
}

static inline bool lb_read32(const struct lb_view *view, uint64_t offset, uint32_t *out)
{
    if (!lb_in_view(view, offset, sizeof *out))
        return false;
    memcpy(out, view->data + offset, sizeof *out);
    if (view->swap)
        *out = __builtin_bswap32(*out);
    return true;
}

static inline bool lb_read64(const struct lb_view *view, uint64_t offset, uint64_t *out)
{
    if (!lb_in_view(view, offset, sizeof *out))
        return false;
    memcpy(out, view->data + offset, sizeof *out);
    if (view->swap)
        *out = __builtin_bswap64(*out);
    return true;
}

static inline bool lb_read_word(const struct lb_view *view, uint64_t offset, uint64_t *out)
{
    uint32_t narrow = 0;
    if (view->is64)
        return lb_read64(view, offset, out);
    if (!lb_read32(view, offset, &narrow))
        return false;
    *out = narrow;
    return true;
}

#endif
