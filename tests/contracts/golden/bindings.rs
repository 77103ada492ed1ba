// acme.text 1.0.0, host.logger 1.0.0: made by `latebind contract header -l rust`; change the contract instead.
// [latebind.rs]

/// Counts over several texts.
#[allow(non_camel_case_types, non_upper_case_globals, dead_code, unused, clippy::all)]
pub mod acme_counter {
    use super::latebind::*;
    use std::ffi::c_void;

    pub trait Handle {
        /// Number of tokens in `text`.
        fn feed(&self, ctx: &mut Context, text: &str) -> Result<i64>;
        /// Number of tokens in all texts so far.
        fn total(&self, ctx: &mut Context) -> Result<i64>;
    }
    #[no_mangle]
    extern "C" fn acme_counter_feed(raw: *mut lb_context, this: *mut c_void, text: lb_str, result: *mut i64) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Handle::feed(&**(&*(this as *mut Box<dyn Handle>)), ctx, text.as_str())?;
            *result = ToC::<i64>::to_c(found, ctx);
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_counter_total(raw: *mut lb_context, this: *mut c_void, result: *mut i64) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Handle::total(&**(&*(this as *mut Box<dyn Handle>)), ctx)?;
            *result = ToC::<i64>::to_c(found, ctx);
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_counter_close(raw: *mut lb_context, this: *mut c_void) -> i32 {
        guard(raw, |ctx| unsafe {
            drop(Box::from_raw(this as *mut Box<dyn Handle>));
            Ok(LB_OK)
        })
    }
}

/// Splits text into tokens: runs of anything but spaces.
#[allow(non_camel_case_types, non_upper_case_globals, dead_code, unused, clippy::all)]
pub mod acme_text {
    use super::latebind::*;
    use std::ffi::c_void;

    /// How tokens are sorted.
    #[repr(transparent)]
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Order(pub i32);
    impl Order {
        pub const AS_FOUND: Self = Self(0);
        pub const BY_LENGTH: Self = Self(1);
    }
    /// One token and where it begins.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Token {
        pub text: lb_str,
        pub start: i64,
    }
    pub trait Provides {
        /// The tokens of `text`, at most `limit` of them.
        fn split(&self, ctx: &mut Context, text: &str, order: Order, limit: Option<i64>) -> Result<Vec<Token>>;
        /// The longest of them, the first of several.
        fn longest(&self, ctx: &mut Context, tokens: &[Token]) -> Result<Option<Token>>;
        /// The tokens one at a time.
        fn words(&self, ctx: &mut Context, text: &str) -> Result<Box<dyn Items<Item = String>>>;
        /// A counter that begins with `start`. It must not be negative.
        fn counter(&self, ctx: &mut Context, start: i64) -> Result<Box<dyn super::acme_counter::Handle>>;
    }
    #[no_mangle]
    extern "C" fn acme_text_split(raw: *mut lb_context, text: lb_str, order: Order, limit: *const lb_optional<i64>, result: *mut lb_list<Token>) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Provides::split(&*((*raw).state as *const crate::Plugin), ctx, text.as_str(), order, (*limit).get().map(|value| *value))?;
            *result = ToC::<lb_list<Token>>::to_c(found, ctx);
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_text_longest(raw: *mut lb_context, tokens: lb_list<Token>, result: *mut lb_optional<Token>) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Provides::longest(&*((*raw).state as *const crate::Plugin), ctx, tokens.as_slice())?;
            *result = ToC::<lb_optional<Token>>::to_c(found, ctx);
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_text_words(raw: *mut lb_context, text: lb_str, result: *mut *mut c_void) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Provides::words(&*((*raw).state as *const crate::Plugin), ctx, text.as_str())?;
            *result = Box::into_raw(Box::new(found)) as *mut c_void;
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_text_words_next(raw: *mut lb_context, this: *mut c_void, result: *mut lb_str) -> i32 {
        guard(raw, |ctx| unsafe {
            let items = &mut *(this as *mut Box<dyn Items<Item = String>>);
            match items.next(ctx)? {
                Some(found) => *result = ToC::<lb_str>::to_c(found, ctx),
                None => return Ok(LB_END),
            }
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_text_words_close(raw: *mut lb_context, this: *mut c_void) -> i32 {
        guard(raw, |ctx| unsafe {
            drop(Box::from_raw(this as *mut Box<dyn Items<Item = String>>));
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn acme_text_counter(raw: *mut lb_context, start: i64, result: *mut *mut c_void) -> i32 {
        guard(raw, |ctx| unsafe {
            let found = Provides::counter(&*((*raw).state as *const crate::Plugin), ctx, start)?;
            *result = Box::into_raw(Box::new(found)) as *mut c_void;
            Ok(LB_OK)
        })
    }
    const TEXT: &str = "1.0.0\0c7b2b5132616735d\0split:87e15e55 longest:d4689dab words:560b9608 words_next:1a87e511 words_close:7ecc8bfa counter:b0ad9ce8 acme.counter/feed:224e3a68 acme.counter/total:0aaa1047 acme.counter/close:2ed347fe Order.AS_FOUND:cf13c0b8 Order.BY_LENGTH:c4ece0dc";
    #[used]
    #[link_section = ".note.latebind"]
    static NOTE: Note<{ note_size("acme.text", TEXT) }> = note(2, "acme.text", TEXT);
}

/// Writes lines for the operator.
#[allow(non_camel_case_types, non_upper_case_globals, dead_code, unused, clippy::all)]
pub mod host_logger {
    use super::latebind::*;
    use std::ffi::c_void;

    extern "C" {
        fn host_logger_info(raw: *mut lb_context, text: lb_str) -> i32;
    }
    /// Write one line.
    pub fn info(ctx: &mut Context, text: &str) -> Result<()> {
        ctx.check(unsafe { host_logger_info(ctx.raw(), lb_str { data: text.as_ptr(), size: text.len() }) })
    }
    const TEXT: &str = "1.0.0\086b48d973924e7e8\0info:83d54ca4";
    #[used]
    #[link_section = ".note.latebind"]
    static NOTE: Note<{ note_size("host.logger", TEXT) }> = note(3, "host.logger", TEXT);
}
