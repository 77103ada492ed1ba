//! The plugin in Rust. `make` writes bindings.rs from the contract; no crate is needed, and rustc alone compiles it.
mod bindings;

use bindings::latebind::{Context, Items, Result, State};
use bindings::{acme_counter, acme_text, host_logger};
use std::cell::Cell;

/// The state of the plugin. Calls come one at a time, unless the manifest says `concurrency: parallel`.
pub struct Plugin;

impl State for Plugin {
    const ID: &'static str = "acme.text";
    const VERSION: &'static str = "1.0.0";

    fn new(ctx: &mut Context, _config: &str) -> Result<Self> {
        host_logger::info(ctx, "Rust is ready")?;
        Ok(Plugin)
    }
}

/// Each token with the place where it begins.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tokens = text.split(' ').filter(|token| !token.is_empty());
    tokens.map(move |token| (token.as_ptr() as usize - text.as_ptr() as usize, token))
}

impl acme_text::Provides for Plugin {
    fn split(
        &self,
        ctx: &mut Context,
        text: &str,
        order: acme_text::Order,
        limit: Option<i64>,
    ) -> Result<Vec<acme_text::Token>> {
        let mut found: Vec<_> = pieces(text).collect();
        if order == acme_text::Order::BY_LENGTH {
            found.sort_by_key(|(_, token)| token.len());
        }
        let limit = limit.map_or(usize::MAX, |limit| limit.max(0) as usize);
        let tokens = found.into_iter().take(limit);
        Ok(tokens.map(|(start, token)| acme_text::Token { text: ctx.text(token), start: start as i64 }).collect())
    }

    fn longest(&self, _: &mut Context, tokens: &[acme_text::Token]) -> Result<Option<acme_text::Token>> {
        // max_by_key answers the last of several; the contract wants the first.
        Ok(tokens.iter().rev().max_by_key(|token| token.text.as_str().len()).copied())
    }

    fn words(&self, _: &mut Context, text: &str) -> Result<Box<dyn Items<Item = String>>> {
        let words: Vec<String> = pieces(text).map(|(_, token)| token.to_string()).collect();
        Ok(Box::new(Words(words.into_iter())))
    }

    fn counter(&self, _: &mut Context, start: i64) -> Result<Box<dyn acme_counter::Handle>> {
        if start < 0 {
            return Err("a counter begins with 0 or more".into());
        }
        Ok(Box::new(Counter { total: Cell::new(start) }))
    }
}

struct Words(std::vec::IntoIter<String>);

impl Items for Words {
    type Item = String;

    fn next(&mut self, _: &mut Context) -> Result<Option<String>> {
        Ok(self.0.next())
    }
}

struct Counter {
    total: Cell<i64>,
}

impl acme_counter::Handle for Counter {
    fn feed(&self, _: &mut Context, text: &str) -> Result<i64> {
        if text == "panic" {
            panic!("a panic is a failure of the call");
        }
        let count = pieces(text).count() as i64;
        self.total.set(self.total.get() + count);
        Ok(count)
    }

    fn total(&self, _: &mut Context) -> Result<i64> {
        Ok(self.total.get())
    }
}
