/* acme.text 1.0.0: made by `latebind contract header`; change the contract instead.
 *
 * Splits text into tokens: runs of anything but spaces.
 */
#ifndef ACME_TEXT_H
#define ACME_TEXT_H

/* [latebind.h] */

#ifdef __cplusplus
extern "C" {
#endif

/* For LATEBIND_PROVIDES and LATEBIND_REQUIRES: id, version, layout digest, signatures. */
#define LATEBIND_CONTRACT_acme_text \
    "acme.text\0" "1.0.0\0" "c7b2b5132616735d\0" \
    "split:87e15e55 longest:d4689dab words:560b9608 words_next:1a87e511 words_close:7ecc8bfa " \
    "counter:b0ad9ce8 acme.counter/feed:224e3a68 acme.counter/total:0aaa1047 acme.counter/close:2ed347fe " \
    "Order.AS_FOUND:cf13c0b8 Order.BY_LENGTH:c4ece0dc"

#ifdef ACME_COUNTER_H
#error acme.counter is provided as a handle here; the header of acme.counter itself declares it otherwise
#endif
#ifndef ACME_COUNTER_HANDLE_H
#define ACME_COUNTER_HANDLE_H
/* A handle: acme.counter 1.0.0. The structure is yours.
 *
 * Counts over several texts.
 */
typedef struct acme_counter acme_counter;

/* Number of tokens in `text`. */
LB_EXPORT lb_status acme_counter_feed(lb_context *ctx, acme_counter *self, lb_str text, int64_t *result);

/* Number of tokens in all texts so far. */
LB_EXPORT lb_status acme_counter_total(lb_context *ctx, acme_counter *self, int64_t *result);

/* Ends the handle: called once for each. */
LB_EXPORT lb_status acme_counter_close(lb_context *ctx, acme_counter *self);

#endif

/* How tokens are sorted. */
typedef int32_t acme_text_Order;
enum {
    ACME_TEXT_ORDER_AS_FOUND = 0,
    ACME_TEXT_ORDER_BY_LENGTH = 1
};

/* One token and where it begins. */
typedef struct acme_text_Token {
    lb_str text;
    int64_t start;
} acme_text_Token;

typedef struct acme_text_list_Token { const acme_text_Token *data; size_t size; } acme_text_list_Token;

typedef struct acme_text_optional_Token { bool has; acme_text_Token value; } acme_text_optional_Token;

/* The tokens of `text`, at most `limit` of them. */
LB_EXPORT lb_status acme_text_split(lb_context *ctx, lb_str text, acme_text_Order order, const lb_optional_i64 *limit, acme_text_list_Token *result);

/* The longest of them, the first of several. */
LB_EXPORT lb_status acme_text_longest(lb_context *ctx, acme_text_list_Token tokens, acme_text_optional_Token *result);

typedef struct acme_text_words_iterator acme_text_words_iterator; /* the structure is yours */
/* The tokens one at a time. */
LB_EXPORT lb_status acme_text_words(lb_context *ctx, lb_str text, acme_text_words_iterator **result);

/* The next item, which lives until the next call for the same iterator; LB_END after the last one. */
LB_EXPORT lb_status acme_text_words_next(lb_context *ctx, acme_text_words_iterator *self, lb_str *item);

/* Called once for each iterator, whether it came to its end or not. */
LB_EXPORT lb_status acme_text_words_close(lb_context *ctx, acme_text_words_iterator *self);

/* A counter that begins with `start`. It must not be negative. */
LB_EXPORT lb_status acme_text_counter(lb_context *ctx, int64_t start, acme_counter **result);

#ifdef __cplusplus
}
#endif

#endif
