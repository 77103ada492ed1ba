/* Reference → definition, over the bytes of files.
 *
 * This is symbol resolution as ld.so does it (glibc's elf/dl-lookup.c is the reference): GNU hash with its bloom
 * filter, SysV hash as the fallback, versions with their hidden and base rules, weak, unique and protected symbols.
 * It works on files of any class and byte order, and it reads untrusted bytes: every access goes through one of the
 * lb_read_* accessors, which check bounds.  A number outside the file reads as "not there", never as a fault; the
 * loops over hash chains and version records are bounded by the number of entries that the file can hold.  One look-up
 * can still walk the whole file, and so could each of many: lb_bind draws on a budget that its caller sets. */
#ifndef LATEBIND_MATCH_H
#define LATEBIND_MATCH_H

#include "view.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#define LB_ABSENT UINT64_MAX /* a table that the file does not have */

struct lb_text { /* a string inside a view; not NUL-terminated for the reader */
    const char *start;
    uint32_t length;
};

struct lb_version { /* one row of the version table, by version index; hash 0 where the index means no version */
    uint32_t hash;
    bool hidden;  /* vna_other has the hidden bit: only an exact match will do */
    struct lb_text name;
    struct lb_text file; /* of a needed version: the file it is needed from; empty for a definition */
};

struct lb_tables { /* file offsets, LB_ABSENT where a table is not there; counts and sizes as the file states them */
    uint64_t symtab, strtab, strtab_size, gnu_hash, sysv_hash, versym;
    uint64_t verdef, verdef_count, verneed, verneed_count;
};

struct lb_gnu_hash { /* the header of DT_GNU_HASH, checked: its filter lies in the file; all zero where it is broken */
    uint64_t bloom, buckets, chains; /* file offsets */
    uint32_t bucket_count, first_symbol, bloom_words, bloom_shift;
};

/* File offsets in it; whether they are in the file, the read has to say. */
static inline uint64_t lb_gnu_bucket(const struct lb_gnu_hash *g, uint32_t hash)
{
    return g->buckets + 4 * (uint64_t)(hash % g->bucket_count);
}

static inline uint64_t lb_gnu_chain(const struct lb_gnu_hash *g, uint32_t symbol)
{
    return g->chains + 4 * (uint64_t)(symbol - g->first_symbol);
}

struct lb_symbols { /* one object, ready to be searched */
    struct lb_view view;
    struct lb_tables at;
    struct lb_gnu_hash gnu; /* by lb_symbols_prepare */
    struct lb_version *versions;
    uint32_t version_count;
};

struct lb_symbol {
    struct lb_text name;
    uint64_t value, size;
    uint16_t section;
    uint8_t info, other;
};

enum lb_class { /* what the reference is for (glibc's ELF_RTYPE_CLASS_*) */
    LB_CLASS_ADDRESS = 0, /* its address: a canonical PLT entry of a program counts as a definition */
    LB_CLASS_PLT = 1,     /* a call or a TLS reference: only a real definition counts */
    LB_CLASS_COPY = 2,    /* a copy relocation: the program itself is passed over */
};

enum lb_how { /* why a definition was taken, or why none was */
    LB_HOW_NONE = 0,        /* nowhere in the scope */
    LB_HOW_EXACT = 1,       /* the version that the reference asks for */
    LB_HOW_BASE = 2,        /* an unversioned reference took the base or the first version */
    LB_HOW_UNVERSIONED = 3, /* the defining object has no versions at all */
    LB_HOW_DEFAULT = 4,     /* a versioned reference took an unversioned, visible definition */
    LB_HOW_ONLY = 5,        /* an unversioned reference took the one version there is */
    LB_HOW_LOCAL = 6,       /* the symbol is local or hidden: it binds to itself */
    LB_HOW_PROTECTED = 7,   /* the symbol is protected: it cannot be preempted */
};

struct lb_match {
    enum lb_how how;
    uint32_t scope;  /* index in the scope; UINT32_MAX for the referrer itself (LOCAL, PROTECTED) or none */
    uint32_t symbol; /* index in the defining object's table */
};

/* Prepares `symbols` (view and at set by the caller): reads the version records.
 * Returns 0, or -1 with errno ENOMEM, or -1 with errno EINVAL and *bad_offset where the records are broken. */
int lb_symbols_prepare(struct lb_symbols *symbols, uint64_t *bad_offset);
void lb_symbols_release(struct lb_symbols *symbols);

/* Bytes of one symbol of the file's class. */
static inline uint64_t lb_symbol_size(const struct lb_view *view) { return view->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym); }

/* Symbol `index` of the table; false where it is not in the file. */
bool lb_symbol_at(const struct lb_symbols *symbols, uint32_t index, struct lb_symbol *out);

/* The same without its name, whose end would have to be looked for. */
bool lb_symbol_fields(const struct lb_symbols *symbols, uint32_t index, struct lb_symbol *out);

/* The version that symbol `index` carries, or NULL. `hidden` (may be NULL) gets the versym's hidden bit. */
const struct lb_version *lb_version_of(const struct lb_symbols *symbols, uint32_t index, bool *hidden);

struct lb_wanted { /* what is looked for in one object after the other */
    struct lb_text name;
    const struct lb_version *version;
    enum lb_class class;
    bool newest; /* dlsym: the default version, and not the base one */
    uint32_t gnu_hash;
    uint64_t *budget; /* what may still be spent on walking chains; where it becomes 0, the answer does not count */
};

/* What to look for on behalf of symbol `index` of `referrer`, whose fields are `own`; false for one that is local or
 * hidden: it binds to itself, whatever the scope holds. */
bool lb_want(const struct lb_symbols *referrer, uint32_t index, enum lb_class class, const struct lb_symbol *own,
             uint64_t *budget, struct lb_wanted *out);

/* What dlsym, or with a version dlvsym, looks for. */
struct lb_wanted lb_wanted_by_name(struct lb_text name, const struct lb_version *version, uint64_t *budget);

struct lb_found { /* a definition in one object */
    enum lb_how how; /* why it counts */
    uint32_t symbol;
    struct lb_symbol fields; /* but for its name */
};

/* Whether one object of a scope defines it. */
bool lb_search(const struct lb_symbols *symbols, const struct lb_wanted *wanted, struct lb_found *out);

/* The same in steps.  False where the object has no symbol of this GNU hash: by the filter of its DT_GNU_HASH; a DT_HASH
 * has none. */
bool lb_may_define(const struct lb_symbols *symbols, uint32_t gnu_hash);

/* The first symbol of the chain of DT_GNU_HASH that a name of this hash is in, in an object that may define it; false
 * where there is none. */
bool lb_chain_begins(const struct lb_symbols *symbols, uint32_t gnu_hash, uint32_t *symbol);

/* Where the object has a DT_GNU_HASH, its chain is searched from symbol `start` on, which stands behind `passed` others
 * that are known to have other hashes. */
bool lb_search_from(const struct lb_symbols *symbols, const struct lb_wanted *wanted, uint32_t start, uint32_t passed,
                    struct lb_found *out);

/* `name` (with `version`, or NULL for the default one) in one object, as dlsym and dlvsym look it up. */
struct lb_match lb_find(const struct lb_symbols *symbols, struct lb_text name, const struct lb_version *version);

uint32_t lb_sysv_hash(struct lb_text name);
uint32_t lb_gnu_hash(struct lb_text name);

uint16_t lb_machine(const struct lb_view *view); /* e_machine; EM_NONE where the header is cut off */
bool lb_is_little(const struct lb_view *view);   /* by e_ident */

#endif
