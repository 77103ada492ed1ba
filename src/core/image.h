/* Executing a plan: what the files that do it share.
 *
 *     plan.c      checks the packed plan; nothing after it looks at an unchecked number
 *     image.c     reserve, map, protect, unmap; huge.c reads what gets huge pages
 *     relocate.c  apply the object's own relocation tables; relocate_<machine>.h is the one table per machine
 *     lazy.c      bind calls when they are first made; lazy_<machine>.S is where they arrive
 *     tls.c       give the object a TLS block in every thread
 *     announce.c  tell the unwinder about the object's frames
 *     init.c      constructors and destructors
 *     leftovers.c what an object leaves in the C library when it goes; threads.c finds the threads that run in it
 *     execute.c   the phases in order, and roll-back; the list of live images
 *     debugger.c  tell a debugger about the object's functions and lines
 *     objects.c, thread_exit.c, dl.c   what our objects call instead of the C library's (services.c is the table)
 *     system.c    what the system's own linker knows: its objects, symbols and TLS blocks
 *
 * None of them knows Python.  Functions that can fail return 0, or -1 with `struct lb_error` filled.  Addresses in a
 * file (virtual addresses) and in the process differ by the object's `base`, as in the gABI: runtime = base + virtual. */
#ifndef LATEBIND_IMAGE_H
#define LATEBIND_IMAGE_H

#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unwind.h>

#include "huge.h"
#include "plan.h"

#define LB_NONE UINT32_MAX /* no such object or symbol */

/* ---- errors ---------------------------------------------------------------------------------------------------- */

enum lb_error_code {
    LB_OK = 0,
    LB_MALFORMED,   /* the plan or the file contradicts itself */
    LB_UNSUPPORTED, /* well-formed, but not done here */
    LB_UNRESOLVED,  /* a reference without a definition */
    LB_SYSTEM,      /* the system refused: memory, a mapping, dlopen */
    LB_ABSENT,      /* there is no such file any more */
    LB_CHANGED,     /* the file is not the one that the plan was made with */
};

struct lb_error {
    enum lb_error_code code;
    uint32_t object;  /* index in the plan, or LB_NONE */
    uint32_t symbol;  /* index in that object's symbol table, or LB_NONE */
    uint64_t offset;  /* virtual address in the object (in the plan where there is no object); 0 if none */
    int system_errno; /* 0 if none */
    char detail[384];
};

/* Fills *error and returns -1, so that a caller can `return lb_fail(...)`. */
int lb_fail(struct lb_error *error, enum lb_error_code code, uint32_t object, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
int lb_fail_symbol(struct lb_error *error, enum lb_error_code code, uint32_t object, uint64_t offset, uint32_t symbol,
                   const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The same for a system call that has just set errno; `operation` says what was tried. */
int lb_fail_errno(struct lb_error *error, uint32_t object, uint64_t offset, const char *operation);

/* ---- reading memory --------------------------------------------------------------------------------------------- */

/* Runtime addresses are integers until the moment of access; memcpy, because nothing promises alignment. */
static inline void *lb_pointer(uint64_t address) { return (void *)(uintptr_t)address; }

static inline uint64_t lb_load64(uint64_t address)
{
    uint64_t value;
    memcpy(&value, lb_pointer(address), sizeof value);
    return value;
}

static inline uint32_t lb_load32(uint64_t address)
{
    uint32_t value;
    memcpy(&value, lb_pointer(address), sizeof value);
    return value;
}

static inline void lb_store64(uint64_t address, uint64_t value) { memcpy(lb_pointer(address), &value, sizeof value); }

/* ---- a checked plan ---------------------------------------------------------------------------------------------- */

struct lb_plan { /* a view of the caller's bytes, which must stay and must not change */
    uint32_t object_count, order_count;
    const char *strings; /* LB_NO_STRING apart, string offsets are inside */
    const struct lb_plan_object *objects;
    const struct lb_plan_segment *segments;
    const struct lb_plan_binding *bindings;
    const uint32_t *order;
};

/* Checks everything about the plan that can be checked without its files.  `bytes` must be aligned to 8. */
int lb_plan_check(const void *bytes, size_t size, struct lb_plan *plan, struct lb_error *error);

/* ---- an object in memory ----------------------------------------------------------------------------------------- */

enum lb_stage { LB_STAGE_LOADED, LB_STAGE_INITIALIZED, LB_STAGE_FINALIZED };

struct lb_segment {
    uint64_t address, size; /* virtual address and size in memory */
    uint32_t protection;    /* PF_R PF_W PF_X */
};

struct lb_tls {
    void *carrier;    /* dlopen handle, or NULL: no TLS */
    uint64_t module;  /* for __tls_get_addr; 0: no TLS */
    bool is_static;   /* then every thread has the block at thread pointer + offset */
    int64_t offset;
};

struct lb_unwinder { /* the process's functions that take and drop an .eh_frame section */
    void (*enlist)(const void *section, void *record);
    void *(*delist)(const void *section);
    /* NULL where one of them is missing; looked up, because linking to them would bring an unwinder along */
    _Unwind_Reason_Code (*backtrace)(_Unwind_Trace_Fn, void *);
    _Unwind_Ptr (*address_of)(struct _Unwind_Context *);
    _Unwind_Word (*frame_of)(struct _Unwind_Context *);
};

struct lb_frames { /* what the unwinder was told; must not move meanwhile */
    uint64_t address; /* 0: nothing */
    void *(*delist)(const void *section);
    void *record[16]; /* libgcc's struct object (unwind-dw2-fde.h): six words, seven where it notes an end; glibc gives 8 */
};

struct lb_lazy { /* what a call through an unbound PLT slot is bound with; all zero where the object is bound at once */
    uint64_t records;      /* runtime address of DT_JMPREL */
    uint64_t record_count;
    uint32_t *memo;        /* per symbol below memo_size: its row + 1, 0 for none */
    uint64_t memo_size;
    uint64_t *values;      /* per row: what a reference to the symbol becomes */
    uint8_t *kinds;        /* per row: enum lb_binding_kind */
};

struct lb_image { /* one object that we mapped; owns everything it points to */
    struct lb_image *next; /* in the list of live images */
    uint64_t base;         /* runtime address = base + virtual address */
    uint64_t start, span;  /* the reserved range, as runtime address and bytes; span 0 once unmapped */
    struct lb_segment *segments;
    uint32_t segment_count;
    int stage; /* enum lb_stage, changed atomically */
    int code_protection; /* what its code has besides PROT_EXEC: lb_branch_target_protection, or 0 */
    uint64_t turn; /* its place in the order of constructors */
    struct lb_range init_array, fini_array;
    uint64_t init, fini; /* virtual addresses; 0: none */
    struct lb_range eh_frame_header;
    bool frames_are_sound; /* .eh_frame was walked, now or before */
    struct lb_frames frames;
    struct lb_tls tls;
    struct lb_lazy lazy;
    char *name; /* its path, or its soname where it was loaded from memory, or "" */
    struct lb_range symtab, strtab; /* inside the readable segments, or size 0 */
    const Elf64_Phdr *program_headers; /* in its own memory */
    uint16_t program_header_count;     /* 0 where no segment holds them */
    struct link_map map; /* the public part; its address is what dlopen returns to native code */
    uint64_t thread_destructors; /* how many wait for their threads to end; atomic */
    uint64_t threads;            /* how many threads run that started in its code; atomic */
    struct lb_leftover *leftovers; /* what the C library knows of it; under the lock */
    uint64_t (*tls_arguments)[2]; /* module and offset, for TLS descriptors of blocks that are not static */
    uint64_t tls_argument_count;
};

/* The runtime address of a range in the file's virtual addresses, or 0 unless one segment with all of the
 * protection bits `needed` holds the whole of it. */
uint64_t lb_image_at(const struct lb_image *image, uint64_t address, uint64_t size, uint32_t needed);

/* The live image whose reserved range holds a runtime address, or NULL. */
struct lb_image *lb_image_holding(uint64_t address);

/* The name of a dynamic symbol, in the image's own memory; NULL where there is none. */
const char *lb_image_symbol_name(const struct lb_image *image, uint32_t symbol);

/* ---- executing --------------------------------------------------------------------------------------------------- */

enum lb_source_kind { LB_SOURCE_NAMED, LB_SOURCE_FILE, LB_SOURCE_MEMORY, LB_SOURCE_PRESENT, LB_SOURCE_SYSTEM };

struct lb_source { /* where an object of the plan comes from in this process */
    enum lb_source_kind kind; /* LB_SOURCE_NAMED: the file that the plan names, if it is still the one that was planned with */
    int fd;            /* LB_SOURCE_FILE: stays the caller's */
    const char *path;  /* LB_SOURCE_SYSTEM: what the system's dlopen is given */
    const void *bytes; /* LB_SOURCE_MEMORY */
    uint64_t size;
    uint64_t base; /* LB_SOURCE_PRESENT: already in the process, with its TLS */
    uint64_t tls_module;
    bool tls_is_static;
    int64_t tls_offset;
};

struct lb_table_marks { /* the part of a relocation table that a later pass has to look at: records [first, end) */
    uint64_t first, end;
};

enum lb_pass { LB_PASS_PLAIN, LB_PASS_TLS, LB_PASS_IFUNC, LB_PASSES };

struct lb_member { /* one object of a plan while the plan is being executed */
    uint32_t index;
    bool is_own;  /* is to be mapped */
    void *handle; /* the system's dlopen's, or NULL */
    const struct lb_plan_object *record;
    const struct lb_plan_binding *bindings;
    const struct lb_source *source;
    int fd; /* of its file while it is mapped; -1 where it has none */
    struct lb_image *image; /* NULL: present before */
    uint64_t base;
    struct lb_huge huge;
    bool start_is_mapped;               /* reserving has mapped the first segment */
    struct lb_tls tls;
    bool wants_static_tls;     /* code reaches its block at a fixed offset */
    bool would_use_static_tls; /* descriptors do, which can do without */
    uint64_t descriptors;      /* how many TLS descriptors it has */
    bool ifuncs_done;
    bool is_lazy;
    bool resolvers_called; /* values[] of IFUNC bindings are the functions */
    uint64_t *values;      /* per binding: what a reference to it becomes */
    uint32_t *memo;        /* per symbol below memo_size: index of its binding + 1, 0 for none */
    uint64_t memo_size;
    struct lb_table_marks marks[2][LB_PASSES]; /* [rela, jmprel][pass] */
};

struct lb_resolved {
    uint64_t resolver, result; /* 0: none */
};

struct lb_execution {
    struct lb_plan plan;
    struct lb_member *members; /* plan.object_count of them */
    uint32_t own_count;        /* how many of them are to be mapped */
    bool asks_system;          /* whether others are for the system's linker */
    const uint64_t *hooks;     /* addresses that LB_BIND_HOOK picks from */
    uint64_t hook_count;
    uint64_t page;
    struct lb_error *error;
    struct lb_resolved resolved[64]; /* IFUNCs that were resolved: every object refers to the same few of the C library */
};

struct lb_arrival { /* what became of an object of the plan; nothing of one that was present */
    struct lb_image *image; /* that we mapped, or NULL */
    struct link_map *system; /* that the system's linker loaded, as dlopen's handle; or NULL */
};

/* Executes a plan: afterwards the system's linker has loaded what is its own, and every own object is mapped, relocated,
 * protected and announced; arrivals[i] is what became of object i.  No constructor of ours has run.  On failure
 * everything is as before.  `plan` must be aligned to 8 and stay unchanged meanwhile; so must what `sources` point to. */
int lb_execute(const void *plan, size_t size, const struct lb_source *sources, uint64_t source_count,
               const uint64_t *hooks, uint64_t hook_count, struct lb_arrival *arrivals, struct lb_error *error);

/* Undoes the mapping, idempotently: frames, TLS, memory.  Runs no destructor.  The struct itself stays. */
void lb_image_close(struct lb_image *image);
void lb_image_free(struct lb_image *image); /* of a closed image */

/* Each at most once, whatever the number of calls and threads; destructors only after constructors. */
void lb_image_initialize(struct lb_image *image);
void lb_image_finalize(struct lb_image *image);

/* In how many threads each of `images` has code on the stack: threads[i].  -1: no memory.  Live images only. */
int lb_threads_running(struct lb_image *const *images, size_t count, uint32_t *threads);

/* debugger.c: a symbol file that debuggers read (copied), NULL: no memory; and its end */
bool lb_debugger_listens(void);
void *lb_debugger_enter(const void *file, size_t size);
void lb_debugger_remove(void *entry);

/* leftovers.c: calls what was registered with atexit; takes everything else back, under the lock; gives the notes back */
void lb_leftovers_run(struct lb_image *image);
void lb_leftovers_withdraw(struct lb_image *image);
void lb_leftovers_free(struct lb_leftover *first);
void lb_leftovers_in_child(void); /* of fork(2): it has one thread */

/* ---- the phases --------------------------------------------------------------------------------------------------- */

int lb_image_map(struct lb_execution *run, struct lb_member *member);
int lb_image_complete(struct lb_execution *run, struct lb_member *member); /* once all are mapped */
void lb_image_close_source(struct lb_member *member);
/* Whether relocation will write to most pages of a segment of the file anyway. */
bool lb_is_rewritten(const struct lb_execution *run, const struct lb_plan_object *o, const struct lb_plan_segment *s);
void lb_image_unmap(struct lb_image *image);
void lb_unmap(uint64_t start, uint64_t size); /* now, or later where the system refuses (unmap.c) */
void lb_unmap_rest(void);                     /* what was refused before */
/* Makes non-writable segments of a TEXTREL object writable (and not executable), and back. */
int lb_image_open_text(struct lb_execution *run, struct lb_member *member);
int lb_image_close_text(struct lb_execution *run, struct lb_member *member);
int lb_image_protect(struct lb_execution *run, struct lb_member *member);

int lb_relocate_prepare(struct lb_execution *run, struct lb_member *member);
int lb_relocate(struct lb_execution *run, struct lb_member *member, enum lb_pass pass);

int lb_lazy_prepare(struct lb_execution *run, struct lb_member *member); /* takes over the member's memo and values */
void lb_lazy_free(struct lb_lazy *lazy);

int lb_tls_carry(struct lb_execution *run, struct lb_member *member);
void lb_tls_drop(struct lb_tls *tls);

int lb_init_check(struct lb_execution *run, struct lb_member *member); /* of a relocated object: all lead to code? */

bool lb_find_unwinder(struct lb_unwinder *unwinder); /* false: the process has none; else it stays loaded */
void lb_announce(struct lb_image *image, const struct lb_unwinder *unwinder); /* at most once; if it has frames */
void lb_announce_all(void); /* every live image that an unwinder does not know yet, if there is one */
void lb_renounce(struct lb_image *image);

/* ---- the machine ---------------------------------------------------------------------------------------------------- */

struct lb_machine { /* of the running process */
    uint16_t machine;         /* e_machine */
    uint8_t elf_class, data;  /* EI_CLASS, EI_DATA */
    uint32_t tls_static_type; /* relocation type: offset from the thread pointer, as wide as an address */
};
extern const struct lb_machine lb_this_machine;

uint64_t lb_call_resolver(uint64_t address); /* an IFUNC's: with the arguments that this machine's resolvers get */

/* What mmap's protection of code gets where the object marks every target of an indirect branch and this processor
 * checks them; 0 where it does not. */
int lb_branch_target_protection(void);

/* Functions of TLS descriptors (lazy_<machine>.S), each with the machine's own calling convention; not
 * callable from C.  The descriptor's second word is the offset from the thread pointer; where to find module and
 * offset; or the addend of an undefined weak variable, which becomes the address. */
void lb_tls_descriptor_static(void);
void lb_tls_descriptor_dynamic(void);
void lb_tls_descriptor_undefined(void);

/* ---- the process ------------------------------------------------------------------------------------------------------ */

struct lb_process { /* the core's only mutable state; see execute.c */
    int argument_count;
    char **arguments;
    pthread_mutex_t lock;
    pthread_mutex_t walking; /* recursive; held while callbacks are shown the images, and while one is taken out */
    struct lb_image *images; /* live ones; under the lock */
    struct lb_image *held;   /* a live one, that was asked for last, or NULL; under the lock */
    uint64_t adds, subs;     /* how many came and went; under the lock */
    struct lb_unwinder unwinder; /* once found; under the lock */
    uint64_t searched;       /* how many objects had come to the link map when it was last looked for; atomic */
    uint64_t turns;          /* how many objects were initialised; atomic */
    struct lb_unmapped *unmapped; /* ranges that munmap has refused so far; atomic */
    uint64_t carriers;       /* how many TLS carriers were made; atomic */
    struct lb_static_carrier *static_carriers; /* the newest first; under the lock */
    /* A symbol that the plan had no definition for, at the call: its address, or 0 and a hint in words.  May be NULL. */
    uint64_t (*find_late)(const struct lb_image *image, uint32_t symbol, char *hint, size_t size);
};
extern struct lb_process lb_process;

/* Is this runtime address in an executable segment: of the plan (`run` may be NULL), of a live image, or of an object
 * of the system's linker? */
bool lb_is_code(const struct lb_execution *run, uint64_t address);

/* The TLS block of a resident object, found by its base: *tls stays zero if it has none. */
int lb_system_tls(uint64_t base, struct lb_tls *tls, struct lb_error *error);
bool lb_system_is_code(uint64_t address);
#define LB_CARRIER_PREFIX "/proc/self/.//" /* how the system's linker names our TLS carriers: they are not libraries */

#endif
