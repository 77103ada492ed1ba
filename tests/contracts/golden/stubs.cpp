/* The handle acme.counter.
 *
 * Counts over several texts.
 */
class CounterHandle : public acme::counter::Handle {
public:
    /* Number of tokens in `text`. */
    int64_t feed(Context &ctx, std::string_view text) override
    {
        (void)ctx, (void)text;
        throw std::logic_error("feed is not implemented yet");
    }

    /* Number of tokens in all texts so far. */
    int64_t total(Context &ctx) override
    {
        (void)ctx;
        throw std::logic_error("total is not implemented yet");
    }
};

/* What words answers, one item at a time. */
class WordsIterator : public latebind::Iterator<std::string> {
public:
    std::optional<std::string> next(Context &ctx) override
    {
        (void)ctx;
        throw std::logic_error("words_next is not implemented yet");
    }
};


    /* The tokens of `text`, at most `limit` of them. */
    std::vector<acme_text_Token> split(Context &ctx, std::string_view text, acme_text_Order order,
                                       std::optional<int64_t> limit) override
    {
        (void)ctx, (void)text, (void)order, (void)limit;
        throw std::logic_error("split is not implemented yet");
    }

    /* The longest of them, the first of several. */
    std::optional<acme_text_Token> longest(Context &ctx,
                                           latebind::View<acme_text_Token> tokens) override
    {
        (void)ctx, (void)tokens;
        throw std::logic_error("longest is not implemented yet");
    }

    /* The tokens one at a time. */
    std::unique_ptr<latebind::Iterator<std::string>> words(Context &ctx,
                                                           std::string_view text) override
    {
        (void)ctx, (void)text;
        throw std::logic_error("words is not implemented yet");
    }

    /* A counter that begins with `start`. It must not be negative. */
    std::unique_ptr<acme::counter::Handle> counter(Context &ctx, int64_t start) override
    {
        (void)ctx, (void)start;
        throw std::logic_error("counter is not implemented yet");
    }
