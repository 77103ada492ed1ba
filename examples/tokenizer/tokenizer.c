/* A tokenizer: tokens are runs of bytes that are no separator.
 *
 * It keeps a number (the texts seen), which survives a hot reload through lb_save and lb_restore, and it writes to
 * the host's log: host_logger_info is undefined here, and latebind binds it to the host's service. */
#include "acme_tokenizer.h"
#include "host_logger.h"

LATEBIND_PLUGIN("acme.tokenizer", "1.4.2")
LATEBIND_PROVIDES(acme_tokenizer)
LATEBIND_REQUIRES(host_logger)

#ifndef SEPARATORS
#define SEPARATORS " \t\r\n"
#endif

static uint64_t texts;

static bool separates(char c)
{
    for (const char *s = SEPARATORS; *s; s++)
        if (*s == c)
            return true;
    return false;
}

/* The next token at or after `at`; its size is 0 at the end of the text. */
static lb_str next_token(lb_str text, size_t at)
{
    lb_str token;

    while (at < text.size && separates(text.data[at]))
        at++;
    token.data = text.data + at;
    for (token.size = 0; at + token.size < text.size && !separates(token.data[token.size]);)
        token.size++;
    return token;
}

lb_status acme_tokenizer_count(lb_context *ctx, lb_str text, int64_t *result)
{
    int64_t count = 0;

    for (lb_str t = next_token(text, 0); t.size; t = next_token(text, (size_t)(t.data - text.data) + t.size))
        count++;
    if (++texts % 100000 == 0)
        host_logger_info(ctx, lb_text("another 100000 texts"));
    *result = count;
    return LB_OK;
}

lb_status acme_tokenizer_longest(lb_context *ctx, lb_str text, lb_str *result)
{
    (void)ctx;
    *result = lb_text("");
    for (lb_str t = next_token(text, 0); t.size; t = next_token(text, (size_t)(t.data - text.data) + t.size))
        if (t.size > result->size)
            *result = t;
    return LB_OK;
}

lb_status acme_tokenizer_seen(lb_context *ctx, int64_t *result)
{
    (void)ctx;
    *result = (int64_t)texts;
    return LB_OK;
}

lb_status lb_init(lb_context *ctx, lb_str config)
{
    (void)config;
    return host_logger_info(ctx, lb_text("the tokenizer is ready"));
}

lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{
    (void)ctx;
    *schema = 1;
    state->data = (const uint8_t *)&texts;
    state->size = sizeof texts;
    return LB_OK;
}

lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    if (schema != 1 || state.size != sizeof texts)
        return lb_fail(ctx, "state of schema %u with %zu bytes is unknown", schema, state.size);
    for (size_t i = 0; i < sizeof texts; i++)
        ((uint8_t *)&texts)[i] = state.data[i];
    return LB_OK;
}
