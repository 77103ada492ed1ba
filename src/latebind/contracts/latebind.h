/* latebind.h: all that a plugin needs of latebind, in one freestanding C99 header (also valid C++17).
 *
 * A plugin exports one function per method of the contracts that it provides.  Each takes an lb_context first and
 * its result, if it has one, as a pointer last; it returns LB_OK, or what lb_fail returns.  The host includes this
 * same file, so there is one definition of every structure below.  Nothing here needs a C library.
 *
 * Types: numbers, enumerations (int32_t), text, bytes and lists are passed by value.  A dataclass is a struct with
 * the same fields in the same order, laid out by the rules of C, and is passed as a pointer to const; so is an
 * optional value, a struct of the flag `has` and `value`.  Those pointers are never null.
 *
 * Handles: a method that returns another contract's interface answers a pointer to a structure of yours, which the
 * host never looks into.  The functions of that contract take it after the context, and <contract>_close ends it.
 * Iterators: likewise; <method>_next answers one item, or LB_END, and <method>_close ends it.  Both are closed
 * exactly once: when the host's program says so, at the latest before lb_fini.  A null handle means None where the
 * contract allows it, and is a mistake elsewhere.
 *
 * Memory: arguments belong to the host and end with the call.  A result lies in memory from lb_alloc, within an
 * argument, in static memory, or in memory of the plugin's that stays as it is until its next call; the host copies
 * it.  Failing (any status but LB_OK) means that there is no result: what was written is not looked at. */
#ifndef LATEBIND_H
#define LATEBIND_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATEBIND_ABI 1

#if defined(__GNUC__)
#define LB_EXPORT __attribute__((visibility("default")))
#define LB_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define LB_EXPORT
#define LB_PRINTF(text, first)
#endif

/* What a call ended with.  Any other number is a mistake of the plugin, and reported as one. */
typedef int32_t lb_status;
enum {
    LB_OK = 0,
    LB_FAILED = 1,      /* what lb_fail returns */
    LB_NOT_PROVIDED = 2, /* the method, or a service that it needs, is not there */
    LB_END = 3           /* of <method>_next: there are no more items */
};

/* UTF-8 text and plain bytes.  As an argument `data` is never null, and text is followed by a zero byte that `size`
 * does not count; as a result `data` may be null when `size` is 0. */
typedef struct lb_str {
    const char *data;
    size_t size; /* bytes */
} lb_str;

typedef struct lb_bytes {
    const uint8_t *data;
    size_t size;
} lb_bytes;

/* Contiguous lists; `size` counts the elements. */
typedef struct lb_list_bool { const bool *data; size_t size; } lb_list_bool;
typedef struct lb_list_i8 { const int8_t *data; size_t size; } lb_list_i8;
typedef struct lb_list_i16 { const int16_t *data; size_t size; } lb_list_i16;
typedef struct lb_list_i32 { const int32_t *data; size_t size; } lb_list_i32;
typedef struct lb_list_i64 { const int64_t *data; size_t size; } lb_list_i64;
typedef struct lb_list_u8 { const uint8_t *data; size_t size; } lb_list_u8;
typedef struct lb_list_u16 { const uint16_t *data; size_t size; } lb_list_u16;
typedef struct lb_list_u32 { const uint32_t *data; size_t size; } lb_list_u32;
typedef struct lb_list_u64 { const uint64_t *data; size_t size; } lb_list_u64;
typedef struct lb_list_f32 { const float *data; size_t size; } lb_list_f32;
typedef struct lb_list_f64 { const double *data; size_t size; } lb_list_f64;
typedef struct lb_list_str { const lb_str *data; size_t size; } lb_list_str;

/* Optional values.  `value` counts where `has` is true; an optional enumeration is an lb_optional_i32. */
typedef struct lb_optional_bool { bool has; bool value; } lb_optional_bool;
typedef struct lb_optional_i8 { bool has; int8_t value; } lb_optional_i8;
typedef struct lb_optional_i16 { bool has; int16_t value; } lb_optional_i16;
typedef struct lb_optional_i32 { bool has; int32_t value; } lb_optional_i32;
typedef struct lb_optional_i64 { bool has; int64_t value; } lb_optional_i64;
typedef struct lb_optional_u8 { bool has; uint8_t value; } lb_optional_u8;
typedef struct lb_optional_u16 { bool has; uint16_t value; } lb_optional_u16;
typedef struct lb_optional_u32 { bool has; uint32_t value; } lb_optional_u32;
typedef struct lb_optional_u64 { bool has; uint64_t value; } lb_optional_u64;
typedef struct lb_optional_f32 { bool has; float value; } lb_optional_f32;
typedef struct lb_optional_f64 { bool has; double value; } lb_optional_f64;
typedef struct lb_optional_str { bool has; lb_str value; } lb_optional_str;
typedef struct lb_optional_bytes { bool has; lb_bytes value; } lb_optional_bytes;
typedef struct lb_optional_list_bool { bool has; lb_list_bool value; } lb_optional_list_bool;
typedef struct lb_optional_list_i8 { bool has; lb_list_i8 value; } lb_optional_list_i8;
typedef struct lb_optional_list_i16 { bool has; lb_list_i16 value; } lb_optional_list_i16;
typedef struct lb_optional_list_i32 { bool has; lb_list_i32 value; } lb_optional_list_i32;
typedef struct lb_optional_list_i64 { bool has; lb_list_i64 value; } lb_optional_list_i64;
typedef struct lb_optional_list_u8 { bool has; lb_list_u8 value; } lb_optional_list_u8;
typedef struct lb_optional_list_u16 { bool has; lb_list_u16 value; } lb_optional_list_u16;
typedef struct lb_optional_list_u32 { bool has; lb_list_u32 value; } lb_optional_list_u32;
typedef struct lb_optional_list_u64 { bool has; lb_list_u64 value; } lb_optional_list_u64;
typedef struct lb_optional_list_f32 { bool has; lb_list_f32 value; } lb_optional_list_f32;
typedef struct lb_optional_list_f64 { bool has; lb_list_f64 value; } lb_optional_list_f64;
typedef struct lb_optional_list_str { bool has; lb_list_str value; } lb_optional_list_str;

/* One call's context.  It belongs to the call: keep neither its address nor memory from lb_alloc beyond it. */
typedef struct lb_context lb_context;
struct lb_context {
    uint32_t size; /* bytes of this structure that the host knows: fields may be appended, never moved */
    uint32_t abi;  /* LATEBIND_ABI of the host */
    void *state;   /* the plugin's own; set it in lb_init or lb_restore, it is the same in every later call */
    void *(*alloc)(lb_context *ctx, size_t size);
    lb_status (*fail)(lb_context *ctx, const char *format, va_list arguments);
    lb_status (*fail_text)(lb_context *ctx, lb_str message);
    /* Hosts older than these have a smaller `size`: ask through lb_cancelled and lb_deadline, which look. */
    bool (*cancelled)(lb_context *ctx);
    int64_t (*deadline)(lb_context *ctx);
};

#define LB_KNOWS_(ctx, field) ((ctx)->size >= offsetof(struct lb_context, field) + sizeof((ctx)->field))

/* Whether nobody waits for this call's answer any more: its caller gave up, or its deadline has passed.  A call that
 * takes long asks now and then, some ten nanoseconds each time, and ends with LB_FAILED when it is true; nothing else
 * can end it.  Ask in the thread in which the call was made. */
static inline bool lb_cancelled(lb_context *ctx)
{
    return LB_KNOWS_(ctx, cancelled) && ctx->cancelled(ctx);
}

/* Until when the answer is wanted, in nanoseconds of CLOCK_MONOTONIC; INT64_MAX without a deadline. */
static inline int64_t lb_deadline(lb_context *ctx)
{
    return LB_KNOWS_(ctx, deadline) ? ctx->deadline(ctx) : INT64_MAX;
}

/* `size` bytes, aligned to 16, that live until the host has copied the result; null when memory is short. */
static inline void *lb_alloc(lb_context *ctx, size_t size)
{
    return ctx->alloc(ctx, size);
}

/* Say why the call failed (as printf does) and return LB_FAILED: `return lb_fail(ctx, "no word %d", n);` */
LB_PRINTF(2, 3)
static inline lb_status lb_fail(lb_context *ctx, const char *format, ...)
{
    lb_status status;
    va_list arguments;
    va_start(arguments, format);
    status = ctx->fail(ctx, format, arguments);
    va_end(arguments);
    return status;
}

/* The same for a message that is finished: for languages without printf. */
static inline lb_status lb_fail_text(lb_context *ctx, lb_str message)
{
    return ctx->fail_text(ctx, message);
}

/* `count` elements of `size` bytes from lb_alloc; null when memory is short or the product too large. */
static inline void *lb_alloc_array(lb_context *ctx, size_t count, size_t size)
{
    return size && count > (size_t)-1 / size ? (void *)0 : ctx->alloc(ctx, count * size);
}

/* The text of a zero-terminated string; it is not copied. */
static inline lb_str lb_text(const char *zero_terminated)
{
    lb_str text;
    text.data = zero_terminated;
    text.size = 0;
    while (zero_terminated[text.size])
        text.size++;
    return text;
}

/* Life cycle.  Export those that you need; the host calls each one while no other call of the plugin runs.
 * `config` is JSON.  `schema` numbers the format of the saved state: lb_restore is told what lb_save answered. */
LB_EXPORT lb_status lb_init(lb_context *ctx, lb_str config);
LB_EXPORT lb_status lb_fini(lb_context *ctx);
LB_EXPORT lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state);
LB_EXPORT lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state);
LB_EXPORT lb_status lb_selftest(lb_context *ctx); /* LB_OK, or what is wrong; called on a copy that serves nobody */

/* What the file is, as ELF notes that can be read without loading it.  The descriptor is a row of strings, each
 * with its zero byte: for LATEBIND_PLUGIN id and version; for a contract id, version, layout digest, and
 * "method:signature method:signature …".  The note's section is allocated, so it lies in a PT_NOTE segment, and
 * linkers keep notes when they drop unused sections. */
#define LATEBIND_NOTE_PLUGIN 1
#define LATEBIND_NOTE_PROVIDES 2
#define LATEBIND_NOTE_REQUIRES 3

/* Standards allow 4095 characters in a string, compilers more; -Wpedantic would complain of a large contract. */
#if defined(__GNUC__)
#define LATEBIND_LONG_STRINGS_                                                                                         \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverlength-strings\"")
#define LATEBIND_SHORT_STRINGS_ _Pragma("GCC diagnostic pop")
#else
#define LATEBIND_LONG_STRINGS_
#define LATEBIND_SHORT_STRINGS_
#endif

#define LATEBIND_NOTE_(variable, kind, text)                                                                           \
    LATEBIND_LONG_STRINGS_                                                                                             \
    static const struct {                                                                                              \
        uint32_t owner_size, text_size, type;                                                                          \
        char owner[12];                                                                                                \
        char content[(sizeof(text) + 3u) & ~(size_t)3u];                                                               \
    } variable __attribute__((section(".note.latebind"), used, aligned(4))) = {9, sizeof(text), kind, "latebind", text};  \
    LATEBIND_SHORT_STRINGS_

#define LATEBIND_PLUGIN(id, version) LATEBIND_NOTE_(latebind_note_plugin, LATEBIND_NOTE_PLUGIN, id "\0" version)
#define LATEBIND_PROVIDES(contract)                                                                                    \
    LATEBIND_NOTE_(latebind_note_provides_##contract, LATEBIND_NOTE_PROVIDES, LATEBIND_CONTRACT_##contract)
#define LATEBIND_REQUIRES(contract)                                                                                    \
    LATEBIND_NOTE_(latebind_note_requires_##contract, LATEBIND_NOTE_REQUIRES, LATEBIND_CONTRACT_##contract)

#ifdef __cplusplus
}
#endif

#endif
