/* The packed plan: what `latebind.linkplan` decides and the core executes.
 *
 * A plan is one little-endian block that holds offsets only, so that it can be kept on disk, sent to another
 * process and executed there.  This header is its one definition; `latebind/linkplan/format.py` mirrors it and
 * tests/linkplan/test_format.py holds both together.  The core trusts no number in it: image.c checks every table
 * and range before use, because a plan may come from a damaged cache or from an untrusted peer.
 *
 * Small on purpose: RELATIVE relocations are not in it.  The core walks the object's own relocation tables and
 * looks a target up by its symbol index, so a plan costs per *referenced symbol*, not per relocation. */
#ifndef LATEBIND_PLAN_H
#define LATEBIND_PLAN_H

#include <stdint.h>

#define LB_PLAN_MAGIC "LBPLAN\r\n" /* eight bytes; CR LF shows a text-mode copy, as PNG's signature does */
#define LB_PLAN_VERSION 2u
#define LB_NO_STRING UINT32_MAX

enum lb_role {
    LB_ROLE_RESIDENT = 0, /* already in the process by the system's linker: bind to it, never map it */
    LB_ROLE_SYSTEM = 1,   /* handed to the system's dlopen before the plan is executed */
    LB_ROLE_OWN = 2,      /* mapped, relocated and initialised by us */
};

enum lb_object_flag {
    LB_OBJECT_TEXTREL = 1u << 0,    /* DT_TEXTREL/DF_TEXTREL: relocations may write to non-writable segments */
    LB_OBJECT_STATIC_TLS = 1u << 1, /* its TLS block is reached through TPOFF64: needs static TLS */
    LB_OBJECT_ROOT = 1u << 2,       /* what the user asked for */
    LB_OBJECT_NODELETE = 1u << 3,   /* DF_1_NODELETE */
    LB_OBJECT_LAZY = 1u << 4,       /* calls through its PLT are bound when they are first made */
    LB_OBJECT_GIVES_TLS = 1u << 5,  /* others refer to thread-local variables of it: say where its block is */
    LB_OBJECT_FRAMES_SOUND = 1u << 6, /* an execution has walked this very file's .eh_frame before, and found it sound */
    LB_OBJECT_BRANCH_TARGETS = 1u << 7, /* it marks every target of an indirect branch: let the processor check them */
};

enum lb_binding_kind {
    LB_BIND_WEAK_UNDEFINED = 0, /* value is 0: an undefined weak reference */
    LB_BIND_DATA = 1,           /* base of `object` + value */
    LB_BIND_FUNCTION = 2,       /* base of `object` + value */
    LB_BIND_IFUNC = 3,          /* base of `object` + value is the resolver; its result is the address */
    LB_BIND_TLS = 4,            /* value is the offset in the TLS block of `object` */
    LB_BIND_ABSOLUTE = 5,       /* value is the address (SHN_ABS) */
    LB_BIND_HOOK = 6,           /* value is an index into the hooks that the executor is given */
    LB_BIND_UNRESOLVED = 7,     /* no definition: executing a reference to it is an error */
    LB_BIND_SERVICE = 8,        /* value is an enum lb_service; `object` is the one whose function it stands for */
};

/* Functions of the C library and its runtimes that answer for the system linker's objects only.  References to them
 * from our objects are bound to the core's own, which know both. */
enum lb_service {
    LB_SERVICE_THREAD_ATEXIT = 0,      /* __cxa_thread_atexit */
    LB_SERVICE_THREAD_ATEXIT_IMPL = 1, /* __cxa_thread_atexit_impl */
    LB_SERVICE_ITERATE_PHDR = 2,       /* dl_iterate_phdr */
    LB_SERVICE_FIND_OBJECT = 3,        /* _dl_find_object */
    LB_SERVICE_ADDR = 4,               /* dladdr */
    LB_SERVICE_ADDR1 = 5,              /* dladdr1 */
    LB_SERVICE_BACKTRACE_SYMBOLS = 6,    /* backtrace_symbols */
    LB_SERVICE_BACKTRACE_SYMBOLS_FD = 7, /* backtrace_symbols_fd */
    LB_SERVICE_OPEN = 8,               /* dlopen */
    LB_SERVICE_MOPEN = 9,              /* dlmopen */
    LB_SERVICE_SYM = 10,               /* dlsym */
    LB_SERVICE_VSYM = 11,              /* dlvsym */
    LB_SERVICE_CLOSE = 12,             /* dlclose */
    LB_SERVICE_ERROR = 13,             /* dlerror */
    LB_SERVICE_INFO = 14,              /* dlinfo */
    LB_SERVICE_CXA_ATEXIT = 15,        /* __cxa_atexit */
    LB_SERVICE_REGISTER_ATFORK = 16,   /* __register_atfork */
    LB_SERVICE_ON_EXIT = 17,           /* on_exit */
    LB_SERVICE_KEY_CREATE = 18,        /* pthread_key_create */
    LB_SERVICE_KEY_DELETE = 19,        /* pthread_key_delete */
    LB_SERVICE_TSS_CREATE = 20,        /* tss_create */
    LB_SERVICE_TSS_DELETE = 21,        /* tss_delete */
    LB_SERVICE_THREAD_CREATE = 22,     /* pthread_create */
    LB_SERVICE_THRD_CREATE = 23,       /* thrd_create */
    LB_SERVICE_SIGACTION = 24,         /* sigaction */
    LB_SERVICE_SIGNAL = 25,            /* signal */
    LB_SERVICE_SYSV_SIGNAL = 26,       /* __sysv_signal */
    LB_SERVICE_BACKTRACE = 27,         /* backtrace */
    LB_SERVICES
};

struct lb_table { /* `count` records at byte `offset` of the plan */
    uint32_t offset;
    uint32_t count;
};

struct lb_plan_header {
    char magic[8];
    uint32_t version;
    uint16_t machine; /* e_machine */
    uint8_t elf_class; /* EI_CLASS */
    uint8_t elf_data;  /* EI_DATA */
    uint64_t size;     /* of the whole plan, in bytes */
    struct lb_table objects;  /* struct lb_plan_object, in load order; object 0 is the root */
    struct lb_table segments; /* struct lb_plan_segment */
    struct lb_table bindings; /* struct lb_plan_binding, per object, ascending by symbol */
    struct lb_table order;    /* uint32_t object indexes: the order of constructors, dependencies first */
    struct lb_table strings;  /* bytes; each string ends with a NUL */
};

struct lb_range { /* in the file's virtual addresses */
    uint64_t address;
    uint64_t size;
};

struct lb_plan_object {
    uint32_t role;  /* enum lb_role */
    uint32_t flags; /* enum lb_object_flag */
    uint32_t soname; /* string offset, or LB_NO_STRING */
    uint32_t path;   /* string offset, or LB_NO_STRING (loaded from memory) */
    /* identity: what the file was when the plan was made */
    uint64_t device, inode, file_size, mtime_ns;
    uint32_t build_id; /* string offset of the hex digits, or LB_NO_STRING */
    uint32_t reserved;
    /* mapping; zero unless role is own */
    uint64_t low;   /* lowest page-aligned virtual address of a PT_LOAD */
    uint64_t span;  /* bytes to reserve from `low` on: whole pages */
    uint64_t align; /* largest p_align, at least the page size */
    uint32_t first_segment, segments;
    uint32_t first_binding, bindings;
    /* tables; size 0 where absent */
    struct lb_range relr, rela, jmprel;
    struct lb_range symtab, strtab;  /* for names in errors, dladdr and backtraces; left alone where damaged */
    struct lb_range program_headers; /* for dl_iterate_phdr; size 0 where no segment holds them */
    uint64_t dynamic, pltgot;        /* virtual addresses of PT_DYNAMIC and DT_PLTGOT, or 0 */
    struct lb_range init_array, fini_array;
    uint64_t init, fini; /* virtual address of DT_INIT/DT_FINI, or 0 */
    struct lb_range relro;
    struct lb_range eh_frame_header; /* PT_GNU_EH_FRAME */
    struct lb_range tls_image;       /* PT_TLS: p_vaddr, p_filesz */
    uint64_t tls_size, tls_align;    /* PT_TLS: p_memsz, p_align; tls_size 0 where absent */
};

struct lb_plan_segment {
    uint64_t address;     /* p_vaddr */
    uint64_t file_offset; /* p_offset */
    uint64_t file_size;   /* p_filesz */
    uint64_t memory_size; /* p_memsz */
    uint32_t protection;  /* PF_R 4, PF_W 2, PF_X 1 */
    uint32_t reserved;
};

struct lb_plan_binding {
    uint32_t symbol; /* index in the referring object's dynamic symbol table */
    uint32_t kind;   /* enum lb_binding_kind */
    uint32_t object; /* index of the defining object, or UINT32_MAX */
    uint32_t reserved;
    uint64_t value;
};

#endif
