/// The types of `latebind.h`, and what carries values of Rust to them and back. No crate is needed.
#[allow(non_camel_case_types, dead_code, clippy::all)]
pub mod latebind {
    use std::ffi::c_void;
    use std::panic::{catch_unwind, AssertUnwindSafe};

    pub const LB_OK: i32 = 0;
    pub const LB_FAILED: i32 = 1;
    pub const LB_NOT_PROVIDED: i32 = 2;
    pub const LB_END: i32 = 3;

    /// Elements one after the other, with their number.
    #[repr(C)]
    pub struct lb_list<T> {
        pub data: *const T,
        pub size: usize,
    }
    impl<T> Clone for lb_list<T> {
        fn clone(&self) -> Self {
            *self
        }
    }
    impl<T> Copy for lb_list<T> {}
    impl<T> lb_list<T> {
        /// The elements. An argument's are good until the call ends.
        pub fn as_slice(&self) -> &[T] {
            if self.size == 0 {
                return &[];
            }
            // SAFETY: the host, or the plugin that made the value, vouches for data and size.
            unsafe { std::slice::from_raw_parts(self.data, self.size) }
        }
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct lb_str {
        pub data: *const u8,
        pub size: usize,
    }
    impl lb_str {
        pub fn as_str(&self) -> &str {
            // SAFETY: as above; the host hands over nothing but UTF-8.
            unsafe { std::str::from_utf8_unchecked(lb_list { data: self.data, size: self.size }.forever()) }
        }
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct lb_bytes {
        pub data: *const u8,
        pub size: usize,
    }
    impl lb_bytes {
        pub fn as_slice(&self) -> &[u8] {
            lb_list { data: self.data, size: self.size }.forever()
        }
    }
    impl<T> lb_list<T> {
        fn forever<'a>(self) -> &'a [T] {
            if self.size == 0 {
                return &[];
            }
            // SAFETY: the callers tie the slice to the value that it came from.
            unsafe { std::slice::from_raw_parts(self.data, self.size) }
        }
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct lb_optional<T> {
        pub has: bool,
        pub value: T,
    }
    impl<T> lb_optional<T> {
        pub fn get(&self) -> Option<&T> {
            if self.has {
                Some(&self.value)
            } else {
                None
            }
        }
    }

    #[repr(C)]
    pub struct lb_context {
        size: u32,
        abi: u32,
        pub state: *mut c_void,
        alloc: unsafe extern "C" fn(*mut lb_context, usize) -> *mut c_void,
        fail: *const c_void,
        fail_text: unsafe extern "C" fn(*mut lb_context, lb_str) -> i32,
        cancelled: unsafe extern "C" fn(*mut lb_context) -> bool,
        deadline: unsafe extern "C" fn(*mut lb_context) -> i64,
    }
    /// Bytes of an `lb_context` that has the last two functions; an older host's is smaller.
    const WITH_DEADLINE: usize = std::mem::size_of::<lb_context>();

    /// Why a call failed. `Service`: a service said so, and its own words are in the context already.
    #[derive(Debug)]
    pub enum Error {
        Failed(String),
        NotProvided,
        Service,
    }
    impl From<String> for Error {
        fn from(message: String) -> Self {
            Error::Failed(message)
        }
    }
    impl From<&str> for Error {
        fn from(message: &str) -> Self {
            Error::Failed(message.to_string())
        }
    }
    pub type Result<T> = std::result::Result<T, Error>;

    /// A call's context. Memory from it lives until the host has copied the result.
    pub struct Context {
        raw: *mut lb_context,
    }
    impl Context {
        pub fn raw(&self) -> *mut lb_context {
            self.raw
        }
        /// Copies of the elements, for a result.
        pub fn copy<T: Copy>(&mut self, items: &[T]) -> lb_list<T> {
            let bytes = std::mem::size_of_val(items);
            // SAFETY: the context is the host's, for the time of this call; its memory is aligned to 16.
            unsafe {
                let memory = ((*self.raw).alloc)(self.raw, bytes) as *mut T;
                if memory.is_null() {
                    panic!("no memory for {bytes} bytes");
                }
                std::ptr::copy_nonoverlapping(items.as_ptr(), memory, items.len());
                lb_list { data: memory, size: items.len() }
            }
        }
        /// A copy of text: for the fields of records.
        pub fn text(&mut self, text: &str) -> lb_str {
            let copied = self.copy(text.as_bytes());
            lb_str { data: copied.data, size: copied.size }
        }
        /// Whether nobody waits for this call's answer any more. What takes long asks now and then, in the call's own
        /// thread, and ends with an error when it is true; nothing else can end it.
        pub fn cancelled(&self) -> bool {
            // SAFETY: the context is the host's, for the time of this call; `size` says how much of it there is.
            unsafe { (*self.raw).size as usize >= WITH_DEADLINE && ((*self.raw).cancelled)(self.raw) }
        }
        /// Until when the answer is wanted, in nanoseconds of CLOCK_MONOTONIC; None without a deadline.
        pub fn deadline(&self) -> Option<i64> {
            // SAFETY: as above.
            let at = unsafe {
                if ((*self.raw).size as usize) < WITH_DEADLINE {
                    return None;
                }
                ((*self.raw).deadline)(self.raw)
            };
            (at != i64::MAX).then_some(at)
        }
        /// What a service answered.
        pub fn check(&self, status: i32) -> Result<()> {
            match status {
                LB_OK => Ok(()),
                LB_NOT_PROVIDED => Err(Error::NotProvided),
                _ => Err(Error::Service),
            }
        }
    }

    /// What an iterator of a contract is: the next item, or None at the end.
    pub trait Items {
        type Item;
        fn next(&mut self, ctx: &mut Context) -> Result<Option<Self::Item>>;
    }

    /// The plugin: its notes, and how its state is made from the configuration (JSON).
    pub trait State: Sized + 'static {
        const ID: &'static str;
        const VERSION: &'static str;
        fn new(ctx: &mut Context, config: &str) -> Result<Self>;
    }

    /// A value of Rust as a value of C.
    pub trait ToC<C> {
        fn to_c(self, ctx: &mut Context) -> C;
    }
    impl<T> ToC<T> for T {
        fn to_c(self, _: &mut Context) -> T {
            self
        }
    }
    impl ToC<lb_str> for String {
        fn to_c(self, ctx: &mut Context) -> lb_str {
            ctx.text(&self)
        }
    }
    impl ToC<lb_bytes> for Vec<u8> {
        fn to_c(self, ctx: &mut Context) -> lb_bytes {
            let copied = ctx.copy(&self);
            lb_bytes { data: copied.data, size: copied.size }
        }
    }
    impl<C: Copy, V: ToC<C>> ToC<lb_list<C>> for Vec<V> {
        fn to_c(self, ctx: &mut Context) -> lb_list<C> {
            let items: Vec<C> = self.into_iter().map(|item| item.to_c(ctx)).collect();
            ctx.copy(&items)
        }
    }
    impl<C, V: ToC<C>> ToC<lb_optional<C>> for Option<V> {
        fn to_c(self, ctx: &mut Context) -> lb_optional<C> {
            match self {
                Some(value) => lb_optional { has: true, value: value.to_c(ctx) },
                // SAFETY: the types of C here are numbers, pointers and structures of them: all zero is a value.
                None => lb_optional { has: false, value: unsafe { std::mem::zeroed() } },
            }
        }
    }

    /// Run one exported function: an error, or a panic, becomes a status and a message.
    pub fn guard(raw: *mut lb_context, function: impl FnOnce(&mut Context) -> Result<i32>) -> i32 {
        let mut ctx = Context { raw };
        let message = match catch_unwind(AssertUnwindSafe(|| function(&mut ctx))) {
            Ok(Ok(status)) => return status,
            Ok(Err(Error::NotProvided)) => return LB_NOT_PROVIDED,
            Ok(Err(Error::Service)) => return LB_FAILED,
            Ok(Err(Error::Failed(message))) => message,
            Err(panic) => match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
                (Some(text), _) => format!("panic: {text}"),
                (_, Some(text)) => format!("panic: {text}"),
                _ => "panic".to_string(),
            },
        };
        // SAFETY: the context is the host's, for the time of this call.
        unsafe { ((*raw).fail_text)(raw, lb_str { data: message.as_ptr(), size: message.len() }) }
    }

    /// An ELF note of latebind: what `LATEBIND_PLUGIN` and `LATEBIND_PROVIDES` leave in C.
    #[repr(C, align(4))]
    pub struct Note<const N: usize> {
        owner_size: u32,
        text_size: u32,
        kind: u32,
        owner: [u8; 12],
        text: [u8; N],
    }
    pub const fn note<const N: usize>(kind: u32, first: &str, rest: &str) -> Note<N> {
        let (one, two) = (first.as_bytes(), rest.as_bytes());
        let mut text = [0; N];
        let mut at = 0;
        while at < one.len() {
            text[at] = one[at];
            at += 1;
        }
        let mut from = 0;
        while from < two.len() {
            text[at + 1 + from] = two[from];
            from += 1;
        }
        let text_size = (one.len() + two.len() + 2) as u32;
        Note { owner_size: 9, text_size, kind, owner: *b"latebind\0\0\0\0", text }
    }
    /// Bytes of a note's text: two strings, each with its zero byte, filled up to a multiple of four.
    pub const fn note_size(first: &str, rest: &str) -> usize {
        (first.len() + rest.len() + 2 + 3) & !3
    }

    #[used]
    #[link_section = ".note.latebind"]
    static PLUGIN: Note<{ note_size(<crate::Plugin as State>::ID, <crate::Plugin as State>::VERSION) }> =
        note(1, <crate::Plugin as State>::ID, <crate::Plugin as State>::VERSION);

    #[no_mangle]
    extern "C" fn lb_init(raw: *mut lb_context, config: lb_str) -> i32 {
        guard(raw, |ctx| {
            let made = Box::new(<crate::Plugin as State>::new(ctx, config.as_str())?);
            // SAFETY: the context is the host's, for the time of this call.
            unsafe { (*raw).state = Box::into_raw(made) as *mut c_void };
            Ok(LB_OK)
        })
    }
    #[no_mangle]
    extern "C" fn lb_fini(raw: *mut lb_context) -> i32 {
        guard(raw, |_| {
            // SAFETY: lb_init put it there, and the host calls this once.
            drop(unsafe { Box::from_raw((*raw).state as *mut crate::Plugin) });
            Ok(LB_OK)
        })
    }
}
