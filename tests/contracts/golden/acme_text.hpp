/* acme.text 1.0.0: made by `latebind contract header -l c++`; change the contract instead.
 *
 * Splits text into tokens: runs of anything but spaces.
 */
#ifndef ACME_TEXT_HPP
#define ACME_TEXT_HPP

#include "acme_text.h"

/* [latebind.hpp] */

#ifndef ACME_COUNTER_HANDLE_HPP
#define ACME_COUNTER_HANDLE_HPP
namespace acme::counter {

/* Counts over several texts. */
class Handle {
public:
    virtual ~Handle() = default;
    /* Number of tokens in `text`. */
    virtual int64_t feed(latebind::Context &ctx, std::string_view text) = 0;
    /* Number of tokens in all texts so far. */
    virtual int64_t total(latebind::Context &ctx) = 0;
};

inline lb_status export_feed(lb_context *raw, acme_counter *self, lb_str text, int64_t *result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        latebind::store(ctx, *result, reinterpret_cast<Handle *>(self)->feed(ctx, latebind::text(text)));
        return LB_OK;
    });
}

inline lb_status export_total(lb_context *raw, acme_counter *self, int64_t *result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        latebind::store(ctx, *result, reinterpret_cast<Handle *>(self)->total(ctx));
        return LB_OK;
    });
}

inline lb_status export_close(lb_context *raw, acme_counter *self) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &) -> lb_status {
        delete reinterpret_cast<Handle *>(self);
        return LB_OK;
    });
}

} // namespace acme::counter
#endif

#ifndef ACME_TEXT_PLUGIN_HPP
#define ACME_TEXT_PLUGIN_HPP
namespace acme::text {

/* Splits text into tokens: runs of anything but spaces. */
class Plugin {
public:
    virtual ~Plugin() = default;
    /* The tokens of `text`, at most `limit` of them. */
    virtual std::vector<acme_text_Token> split(latebind::Context &ctx, std::string_view text, acme_text_Order order, std::optional<int64_t> limit) = 0;
    /* The longest of them, the first of several. */
    virtual std::optional<acme_text_Token> longest(latebind::Context &ctx, latebind::View<acme_text_Token> tokens) = 0;
    /* The tokens one at a time. */
    virtual std::unique_ptr<latebind::Iterator<std::string>> words(latebind::Context &ctx, std::string_view text) = 0;
    /* A counter that begins with `start`. It must not be negative. */
    virtual std::unique_ptr<acme::counter::Handle> counter(latebind::Context &ctx, int64_t start) = 0;
};

template <class Class>
inline lb_status export_split(lb_context *raw, lb_str text, acme_text_Order order, const lb_optional_i64 *limit, acme_text_list_Token *result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        latebind::store(ctx, *result, static_cast<Class *>(raw->state)->split(ctx, latebind::text(text), order, (*limit).has ? std::optional<int64_t>((*limit).value) : std::optional<int64_t>()));
        return LB_OK;
    });
}

template <class Class>
inline lb_status export_longest(lb_context *raw, acme_text_list_Token tokens, acme_text_optional_Token *result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        latebind::store(ctx, *result, static_cast<Class *>(raw->state)->longest(ctx, latebind::View<acme_text_Token>(tokens.data, tokens.size)));
        return LB_OK;
    });
}

template <class Class>
inline lb_status export_words(lb_context *raw, lb_str text, acme_text_words_iterator **result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        *result = reinterpret_cast<acme_text_words_iterator *>(static_cast<Class *>(raw->state)->words(ctx, latebind::text(text)).release());
        return LB_OK;
    });
}

inline lb_status export_words_next(lb_context *raw, acme_text_words_iterator *self, lb_str *item) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        auto found = reinterpret_cast<latebind::Iterator<std::string> *>(self)->next(ctx);
        if (found)
            latebind::store(ctx, *item, *found);
        return found ? LB_OK : LB_END;
    });
}

inline lb_status export_words_close(lb_context *raw, acme_text_words_iterator *self) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &) -> lb_status {
        delete reinterpret_cast<latebind::Iterator<std::string> *>(self);
        return LB_OK;
    });
}

template <class Class>
inline lb_status export_counter(lb_context *raw, int64_t start, acme_counter **result) noexcept
{
    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {
        *result = reinterpret_cast<acme_counter *>(static_cast<Class *>(raw->state)->counter(ctx, start).release());
        return LB_OK;
    });
}

} // namespace acme::text
#endif

/* Defines the exported functions; `Class` implements the interface, and is the plugin's state. */
#define LATEBIND_EXPORT_acme_text(Class) \
    extern "C" LB_EXPORT lb_status acme_text_split(lb_context *raw, lb_str text, acme_text_Order order, const lb_optional_i64 *limit, acme_text_list_Token *result) { return acme::text::export_split<Class>(raw, text, order, limit, result); } \
    extern "C" LB_EXPORT lb_status acme_text_longest(lb_context *raw, acme_text_list_Token tokens, acme_text_optional_Token *result) { return acme::text::export_longest<Class>(raw, tokens, result); } \
    extern "C" LB_EXPORT lb_status acme_text_words(lb_context *raw, lb_str text, acme_text_words_iterator **result) { return acme::text::export_words<Class>(raw, text, result); } \
    extern "C" LB_EXPORT lb_status acme_text_words_next(lb_context *raw, acme_text_words_iterator *self, lb_str *item) { return acme::text::export_words_next(raw, self, item); } \
    extern "C" LB_EXPORT lb_status acme_text_words_close(lb_context *raw, acme_text_words_iterator *self) { return acme::text::export_words_close(raw, self); } \
    extern "C" LB_EXPORT lb_status acme_text_counter(lb_context *raw, int64_t start, acme_counter **result) { return acme::text::export_counter<Class>(raw, start, result); } \
    extern "C" LB_EXPORT lb_status acme_counter_feed(lb_context *raw, acme_counter *self, lb_str text, int64_t *result) { return acme::counter::export_feed(raw, self, text, result); } \
    extern "C" LB_EXPORT lb_status acme_counter_total(lb_context *raw, acme_counter *self, int64_t *result) { return acme::counter::export_total(raw, self, result); } \
    extern "C" LB_EXPORT lb_status acme_counter_close(lb_context *raw, acme_counter *self) { return acme::counter::export_close(raw, self); }

#endif
