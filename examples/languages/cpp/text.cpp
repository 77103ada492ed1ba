/* The plugin in C++17. `make` writes acme_text.h, acme_text.hpp and host_logger.h from the contract. */
#include "acme_text.hpp"
#include "host_logger.h"

#include <algorithm>

LATEBIND_PLUGIN("acme.text", "1.0.0")
LATEBIND_PROVIDES(acme_text)
LATEBIND_REQUIRES(host_logger)

namespace {

using latebind::Context;

struct Piece {
    std::string_view text;
    std::int64_t start;
};

/* The next token at or after `at`; an empty one at the end. */
Piece next_piece(std::string_view text, std::size_t at)
{
    std::size_t begin = std::min(text.find_first_not_of(' ', at), text.size());
    std::size_t end = std::min(text.find(' ', begin), text.size());
    return {text.substr(begin, end - begin), static_cast<std::int64_t>(begin)};
}

std::vector<Piece> pieces(std::string_view text)
{
    std::vector<Piece> found;
    for (std::size_t at = 0;;) {
        Piece piece = next_piece(text, at);
        if (piece.text.empty())
            return found;
        found.push_back(piece);
        at = static_cast<std::size_t>(piece.start) + piece.text.size();
    }
}

class Words : public latebind::Iterator<std::string> {
public:
    explicit Words(std::string_view text) : text_(text) {}
    std::optional<std::string> next(Context &) override
    {
        Piece piece = next_piece(text_, at_);
        at_ = static_cast<std::size_t>(piece.start) + piece.text.size();
        return piece.text.empty() ? std::nullopt : std::optional<std::string>(piece.text);
    }

private:
    std::string text_;
    std::size_t at_ = 0;
};

class Counter : public acme::counter::Handle {
public:
    explicit Counter(std::int64_t start) : total_(start) {}
    std::int64_t feed(Context &, std::string_view text) override
    {
        auto count = static_cast<std::int64_t>(pieces(text).size());
        total_ += count;
        return count;
    }
    std::int64_t total(Context &) override { return total_; }

private:
    std::int64_t total_;
};

class Text : public acme::text::Plugin {
public:
    Text(Context &ctx, std::string_view) { ctx.check(host_logger_info(ctx.raw(), lb_text("C++ is ready"))); }

    std::vector<acme_text_Token> split(Context &ctx, std::string_view text, acme_text_Order order,
                                       std::optional<int64_t> limit) override
    {
        std::vector<Piece> found = pieces(text);
        if (order == ACME_TEXT_ORDER_BY_LENGTH)
            std::stable_sort(found.begin(), found.end(),
                             [](const Piece &a, const Piece &b) { return a.text.size() < b.text.size(); });
        std::vector<acme_text_Token> tokens;
        for (const Piece &piece : found)
            if (!limit || static_cast<std::int64_t>(tokens.size()) < *limit)
                tokens.push_back({ctx.copy(piece.text), piece.start});
        return tokens;
    }

    std::optional<acme_text_Token> longest(Context &, latebind::View<acme_text_Token> tokens) override
    {
        auto shorter = [](const acme_text_Token &a, const acme_text_Token &b) { return a.text.size < b.text.size; };
        auto found = std::max_element(tokens.begin(), tokens.end(), shorter);
        return found == tokens.end() ? std::nullopt : std::optional<acme_text_Token>(*found);
    }

    std::unique_ptr<latebind::Iterator<std::string>> words(Context &, std::string_view text) override
    {
        return std::make_unique<Words>(text);
    }

    std::unique_ptr<acme::counter::Handle> counter(Context &, int64_t start) override
    {
        if (start < 0)
            throw std::invalid_argument("a counter begins with 0 or more");
        return std::make_unique<Counter>(start);
    }
};

} // namespace

LATEBIND_STATE(Text)
LATEBIND_EXPORT_acme_text(Text)
