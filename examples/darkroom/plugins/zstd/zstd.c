/* Zstandard frames, by libzstd. What was packed so far survives a reload. */
#include "darkroom_packer.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

LATEBIND_PLUGIN("darkroom.zstd", "1.0.0")
LATEBIND_PROVIDES(darkroom_packer)

#define MOST_BYTES ((unsigned long long)1 << 30)

static darkroom_packer_Totals totals;
static int level = 3;

/* The configuration is what the manifest's schema allows: an object whose only member is a number. */
lb_status lb_init(lb_context *ctx, lb_str config)
{
    const char *found = strstr(config.data, "\"level\":");

    (void)ctx;
    if (found)
        level = atoi(found + strlen("\"level\":"));
    return LB_OK;
}

lb_status darkroom_packer_suffix(lb_context *ctx, lb_str *result)
{
    (void)ctx;
    *result = lb_text(".zst");
    return LB_OK;
}

lb_status darkroom_packer_pack(lb_context *ctx, lb_bytes data, lb_bytes *result)
{
    size_t room = ZSTD_compressBound(data.size), size;
    uint8_t *packed = lb_alloc(ctx, room);

    if (!packed)
        return lb_fail(ctx, "no memory for %zu bytes", room);
    size = ZSTD_compress(packed, room, data.data, data.size, level);
    if (ZSTD_isError(size))
        return lb_fail(ctx, "%s", ZSTD_getErrorName(size));
    totals.files++;
    totals.taken += (int64_t)data.size;
    totals.given += (int64_t)size;
    result->data = packed;
    result->size = size;
    return LB_OK;
}

lb_status darkroom_packer_unpack(lb_context *ctx, lb_bytes data, lb_bytes *result)
{
    unsigned long long room = ZSTD_getFrameContentSize(data.data, data.size);
    uint8_t *unpacked;
    size_t size;

    if (room == ZSTD_CONTENTSIZE_ERROR)
        return lb_fail(ctx, "%zu bytes that are no Zstandard frame", data.size);
    if (room > MOST_BYTES) /* also ZSTD_CONTENTSIZE_UNKNOWN: what pack made has its size */
        return lb_fail(ctx, "the frame does not say a size below %llu", MOST_BYTES);
    unpacked = lb_alloc(ctx, (size_t)room + 1); /* never of no size */
    if (!unpacked)
        return lb_fail(ctx, "no memory for %llu bytes", room);
    size = ZSTD_decompress(unpacked, (size_t)room, data.data, data.size);
    if (ZSTD_isError(size))
        return lb_fail(ctx, "%s", ZSTD_getErrorName(size));
    result->data = unpacked;
    result->size = size;
    return LB_OK;
}

lb_status darkroom_packer_totals(lb_context *ctx, darkroom_packer_Totals *result)
{
    (void)ctx;
    *result = totals;
    return LB_OK;
}

lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{
    (void)ctx;
    *schema = 1;
    state->data = (const uint8_t *)&totals;
    state->size = sizeof totals;
    return LB_OK;
}

lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    if (schema != 1 || state.size != sizeof totals)
        return lb_fail(ctx, "state of schema %u with %zu bytes is unknown", schema, state.size);
    memcpy(&totals, state.data, sizeof totals);
    return LB_OK;
}

lb_status lb_selftest(lb_context *ctx)
{
    static const char text[] = "late binding late binding late binding";
    lb_bytes data = {(const uint8_t *)text, sizeof text}, packed, again;
    darkroom_packer_Totals before = totals;
    lb_status status = darkroom_packer_pack(ctx, data, &packed);

    totals = before;
    if (status == LB_OK)
        status = darkroom_packer_unpack(ctx, packed, &again);
    if (status == LB_OK && (again.size != data.size || memcmp(again.data, data.data, data.size)))
        return lb_fail(ctx, "what was packed comes back as something else");
    return status;
}
