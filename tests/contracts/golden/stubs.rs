/// The handle acme.counter.
#[allow(dead_code)] // until a method answers one
struct CounterHandle;

impl acme_counter::Handle for CounterHandle {
    /// Number of tokens in `text`.
    fn feed(&self, ctx: &mut Context, text: &str) -> Result<i64> {
        let _ = (ctx, text);
        Err("feed is not implemented yet".into())
    }

    /// Number of tokens in all texts so far.
    fn total(&self, ctx: &mut Context) -> Result<i64> {
        let _ = ctx;
        Err("total is not implemented yet".into())
    }
}

/// What words answers, one item at a time.
#[allow(dead_code)] // until words answers one
struct WordsIterator;

impl Items for WordsIterator {
    type Item = String;

    fn next(&mut self, ctx: &mut Context) -> Result<Option<String>> {
        let _ = ctx;
        Err("words_next is not implemented yet".into())
    }
}

impl acme_text::Provides for Plugin {
    /// The tokens of `text`, at most `limit` of them.
    fn split(
        &self,
        ctx: &mut Context,
        text: &str,
        order: acme_text::Order,
        limit: Option<i64>,
    ) -> Result<Vec<acme_text::Token>> {
        let _ = (ctx, text, order, limit);
        Err("split is not implemented yet".into())
    }

    /// The longest of them, the first of several.
    fn longest(
        &self,
        ctx: &mut Context,
        tokens: &[acme_text::Token],
    ) -> Result<Option<acme_text::Token>> {
        let _ = (ctx, tokens);
        Err("longest is not implemented yet".into())
    }

    /// The tokens one at a time.
    fn words(&self, ctx: &mut Context, text: &str) -> Result<Box<dyn Items<Item = String>>> {
        let _ = (ctx, text);
        Err("words is not implemented yet".into())
    }

    /// A counter that begins with `start`. It must not be negative.
    fn counter(&self, ctx: &mut Context, start: i64) -> Result<Box<dyn acme_counter::Handle>> {
        let _ = (ctx, start);
        Err("counter is not implemented yet".into())
    }
}
