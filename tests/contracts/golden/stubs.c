struct acme_counter {
    int unused; /* what the handle remembers */
};

/* Number of tokens in `text`. */
lb_status acme_counter_feed(lb_context *ctx, acme_counter *self, lb_str text, int64_t *result)
{
    (void)self, (void)text, (void)result;
    return lb_fail(ctx, "feed is not implemented yet");
}

/* Number of tokens in all texts so far. */
lb_status acme_counter_total(lb_context *ctx, acme_counter *self, int64_t *result)
{
    (void)self, (void)result;
    return lb_fail(ctx, "total is not implemented yet");
}

lb_status acme_counter_close(lb_context *ctx, acme_counter *self)
{
    (void)ctx;
    free(self);
    return LB_OK;
}

/* The tokens of `text`, at most `limit` of them. */
lb_status acme_text_split(lb_context *ctx, lb_str text, acme_text_Order order,
                          const lb_optional_i64 *limit, acme_text_list_Token *result)
{
    (void)text, (void)order, (void)limit, (void)result;
    return lb_fail(ctx, "split is not implemented yet");
}

/* The longest of them, the first of several. */
lb_status acme_text_longest(lb_context *ctx, acme_text_list_Token tokens,
                            acme_text_optional_Token *result)
{
    (void)tokens, (void)result;
    return lb_fail(ctx, "longest is not implemented yet");
}

struct acme_text_words_iterator {
    int unused; /* what the iterator remembers */
};

/* The tokens one at a time. */
lb_status acme_text_words(lb_context *ctx, lb_str text, acme_text_words_iterator **result)
{
    (void)text, (void)result;
    return lb_fail(ctx, "words is not implemented yet");
}

lb_status acme_text_words_next(lb_context *ctx, acme_text_words_iterator *self, lb_str *item)
{
    (void)self, (void)item;
    return lb_fail(ctx, "words_next is not implemented yet");
}

lb_status acme_text_words_close(lb_context *ctx, acme_text_words_iterator *self)
{
    (void)ctx;
    free(self);
    return LB_OK;
}

/* A counter that begins with `start`. It must not be negative. */
lb_status acme_text_counter(lb_context *ctx, int64_t start, acme_counter **result)
{
    (void)start, (void)result;
    return lb_fail(ctx, "counter is not implemented yet");
}
