/* Reference → definition over file bytes; match.h says what and why.  The comments that name a function name
 * glibc's, whose behaviour is the specification here. */
#include "match.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_INDEX 0x7fffu
#define VERSION_HIDDEN 0x8000u
#define VERSIONS_MAX 0x8000u

#define IDENT_DATA 5 /* e_ident[EI_DATA] */

uint16_t lb_machine(const struct lb_view *view)
{
    uint16_t machine = 0;
    return lb_read16(view, offsetof(Elf64_Ehdr, e_machine), &machine) ? machine : EM_NONE;
}

bool lb_is_little(const struct lb_view *view)
{
    return view->size > IDENT_DATA && view->data[IDENT_DATA] == ELFDATA2LSB;
}

/* The string at `index` of the string table, or an empty text where it is not whole. */
static struct lb_text text_at(const struct lb_symbols *s, uint64_t index)
{
    const struct lb_text none = {"", 0};
    if (s->at.strtab == LB_ABSENT || index >= s->at.strtab_size)
        return none;
    uint64_t room = s->at.strtab_size - index;
    if (!lb_in_view(&s->view, s->at.strtab, s->at.strtab_size))
        return none;
    const char *start = (const char *)s->view.data + s->at.strtab + index;
    const char *end = memchr(start, 0, room);
    if (!end || end - start > UINT32_MAX)
        return none;
    return (struct lb_text){start, (uint32_t)(end - start)};
}

/* Whether the string at `index` is `name`.  Does not look for the end of the string first: in a hostile table every
 * string is as long as the table. */
static bool name_is(const struct lb_symbols *s, uint64_t index, struct lb_text name)
{
    if (s->at.strtab == LB_ABSENT || index >= s->at.strtab_size || name.length >= s->at.strtab_size - index)
        return false;
    if (!lb_in_view(&s->view, s->at.strtab, s->at.strtab_size))
        return false;
    const char *start = (const char *)s->view.data + s->at.strtab + index;
    return memcmp(start, name.start, name.length) == 0 && start[name.length] == 0;
}

static bool same_text(struct lb_text a, struct lb_text b)
{
    return a.length == b.length && memcmp(a.start, b.start, a.length) == 0;
}

/* gABI, "Hash Table". */
uint32_t lb_sysv_hash(struct lb_text name)
{
    uint32_t h = 0;
    for (uint32_t i = 0; i < name.length; i++) {
        h = (h << 4) + (uint8_t)name.start[i];
        h ^= (h >> 24) & 0xf0;
        h &= 0x0fffffff;
    }
    return h;
}

/* Bernstein's hash, as DT_GNU_HASH uses it.  Four bytes at a time: each step waits for the one before. */
uint32_t lb_gnu_hash(struct lb_text name)
{
    const uint8_t *c = (const uint8_t *)name.start;
    uint32_t h = 5381, left = name.length;
    for (; left >= 4; left -= 4, c += 4)
        h = h * (33 * 33 * 33 * 33) + c[0] * UINT32_C(33 * 33 * 33) + c[1] * UINT32_C(33 * 33) + c[2] * UINT32_C(33) + c[3];
    for (; left != 0; left--, c++)
        h = h * 33 + *c;
    return h;
}

static void swap_symbol(Elf64_Sym *row)
{
    row->st_name = __builtin_bswap32(row->st_name);
    row->st_shndx = __builtin_bswap16(row->st_shndx);
    row->st_value = __builtin_bswap64(row->st_value);
    row->st_size = __builtin_bswap64(row->st_size);
}

static void swap_narrow_symbol(Elf32_Sym *row)
{
    row->st_name = __builtin_bswap32(row->st_name);
    row->st_shndx = __builtin_bswap16(row->st_shndx);
    row->st_value = __builtin_bswap32(row->st_value);
    row->st_size = __builtin_bswap32(row->st_size);
}

/* Everything but the name; `name_index` gets st_name. */
static inline bool symbol_fields(const struct lb_symbols *s, uint32_t index, struct lb_symbol *out, uint32_t *name_index)
{
    uint64_t entry = lb_symbol_size(&s->view);
    uint64_t offset;
    if (s->at.symtab == LB_ABSENT || __builtin_add_overflow(s->at.symtab, index * entry, &offset) ||
        !lb_in_view(&s->view, offset, entry))
        return false;
    if (s->view.is64) {
        Elf64_Sym row;
        memcpy(&row, s->view.data + offset, sizeof row);
        if (s->view.swap)
            swap_symbol(&row);
        *out = (struct lb_symbol){{"", 0}, row.st_value, row.st_size, row.st_shndx, row.st_info, row.st_other};
        *name_index = row.st_name;
    } else {
        Elf32_Sym row;
        memcpy(&row, s->view.data + offset, sizeof row);
        if (s->view.swap)
            swap_narrow_symbol(&row);
        *out = (struct lb_symbol){{"", 0}, row.st_value, row.st_size, row.st_shndx, row.st_info, row.st_other};
        *name_index = row.st_name;
    }
    return true;
}

bool lb_symbol_fields(const struct lb_symbols *s, uint32_t index, struct lb_symbol *out)
{
    uint32_t name;
    return symbol_fields(s, index, out, &name);
}

bool lb_symbol_at(const struct lb_symbols *s, uint32_t index, struct lb_symbol *out)
{
    uint32_t name = 0;
    if (!symbol_fields(s, index, out, &name))
        return false;
    out->name = text_at(s, name);
    return true;
}

/* Version records ------------------------------------------------------------------------------------------- */

static bool set_version(struct lb_symbols *s, uint32_t index, struct lb_version version)
{
    if (index >= s->version_count) {
        uint32_t count = index + 1 + index / 2; /* indexes rise one by one: growing by one each time copies too much */
        struct lb_version *grown = realloc(s->versions, count * sizeof *grown);
        if (!grown)
            return false;
        memset(grown + s->version_count, 0, (count - s->version_count) * sizeof *grown);
        s->versions = grown;
        s->version_count = count;
    }
    s->versions[index] = version;
    return true;
}

/* Verdef and Verneed are lists whose links are offsets from the record they stand in.  A link that is zero ends the
 * list; one that is not moves forward, so a walk ends at the end of the file at the latest.  Each need has its own list
 * of names, and hostile lists overlap: all of them together have no more records than fit into the file. */
static int read_definitions(struct lb_symbols *s, uint64_t *bad)
{
    uint64_t at = s->at.verdef;
    for (uint64_t i = 0; i < s->at.verdef_count && i < VERSIONS_MAX; i++) {
        uint16_t flags = 0, index = 0;
        uint32_t hash = 0, aux = 0, next = 0, name = 0;
        *bad = at;
        if (!lb_read16(&s->view, at + 2, &flags) || !lb_read16(&s->view, at + 4, &index) ||
            !lb_read32(&s->view, at + 8, &hash) || !lb_read32(&s->view, at + 12, &aux) ||
            !lb_read32(&s->view, at + 16, &next) || !lb_read32(&s->view, at + aux, &name))
            return errno = EINVAL, -1;
        /* The base definition names the file, not a version: symbols with its index count as unversioned. */
        if (!(flags & VER_FLG_BASE)) {
            struct lb_version version = {.hash = hash, .name = text_at(s, name), .file = {"", 0}};
            if (!set_version(s, index & VERSION_INDEX, version))
                return errno = ENOMEM, -1;
        }
        if (!next)
            break;
        at += next;
    }
    return 0;
}

static int read_needs_of(struct lb_symbols *s, uint64_t at, uint16_t count, struct lb_text file, uint64_t *room)
{
    for (uint16_t i = 0; i < count; i++) {
        if ((*room)-- == 0)
            return errno = EINVAL, -1;
        uint32_t hash = 0, name = 0, next = 0;
        uint16_t other = 0;
        if (!lb_read32(&s->view, at, &hash) || !lb_read16(&s->view, at + 6, &other) ||
            !lb_read32(&s->view, at + 8, &name) || !lb_read32(&s->view, at + 12, &next))
            return errno = EINVAL, -1;
        struct lb_version version = {
            .hash = hash, .hidden = other & VERSION_HIDDEN, .name = text_at(s, name), .file = file};
        if (!set_version(s, other & VERSION_INDEX, version))
            return errno = ENOMEM, -1;
        if (!next)
            break;
        at += next;
    }
    return 0;
}

static int read_needs(struct lb_symbols *s, uint64_t *bad)
{
    uint64_t at = s->at.verneed, room = s->view.size / sizeof(Elf64_Vernaux);
    for (uint64_t i = 0; i < s->at.verneed_count && i < VERSIONS_MAX; i++) {
        uint16_t count = 0;
        uint32_t file = 0, aux = 0, next = 0;
        *bad = at;
        if (!lb_read16(&s->view, at + 2, &count) || !lb_read32(&s->view, at + 4, &file) ||
            !lb_read32(&s->view, at + 8, &aux) || !lb_read32(&s->view, at + 12, &next))
            return errno = EINVAL, -1;
        if (read_needs_of(s, at + aux, count, text_at(s, file), &room) < 0)
            return -1;
        if (!next)
            break;
        at += next;
    }
    return 0;
}

/* DT_GNU_HASH's header.  A table that is not whole defines nothing, as one without buckets. */
static void read_gnu_hash(struct lb_symbols *s)
{
    const struct lb_view *v = &s->view;
    struct lb_gnu_hash g = {0};
    uint64_t at = s->at.gnu_hash, filter;
    if (!lb_read32(v, at, &g.bucket_count) || !lb_read32(v, at + 4, &g.first_symbol) ||
        !lb_read32(v, at + 8, &g.bloom_words) || !lb_read32(v, at + 12, &g.bloom_shift) || !g.bloom_words)
        return;
    filter = (uint64_t)g.bloom_words * (v->is64 ? 8 : 4);
    if (!lb_in_view(v, at + 16, filter))
        return;
    g.bloom = at + 16;
    g.buckets = g.bloom + filter;
    g.chains = g.buckets + 4 * (uint64_t)g.bucket_count;
    s->gnu = g;
}

int lb_symbols_prepare(struct lb_symbols *s, uint64_t *bad_offset)
{
    s->gnu = (struct lb_gnu_hash){0};
    if (s->at.gnu_hash != LB_ABSENT)
        read_gnu_hash(s);
    if (s->at.verdef != LB_ABSENT && read_definitions(s, bad_offset) < 0)
        return -1;
    if (s->at.verneed != LB_ABSENT && read_needs(s, bad_offset) < 0)
        return -1;
    return 0;
}

void lb_symbols_release(struct lb_symbols *s)
{
    free(s->versions);
    s->versions = NULL;
    s->version_count = 0;
}

static bool versym_of(const struct lb_symbols *s, uint32_t index, uint16_t *out)
{
    return s->at.versym != LB_ABSENT && lb_read16(&s->view, s->at.versym + 2 * (uint64_t)index, out);
}

const struct lb_version *lb_version_of(const struct lb_symbols *s, uint32_t index, bool *hidden)
{
    uint16_t versym = 0;
    if (!versym_of(s, index, &versym))
        return NULL;
    if (hidden)
        *hidden = versym & VERSION_HIDDEN;
    uint32_t at = versym & VERSION_INDEX;
    return at < s->version_count && s->versions[at].hash ? &s->versions[at] : NULL;
}

/* One object ------------------------------------------------------------------------------------------------ */

struct candidate { /* what one object's hash chain has given so far */
    struct lb_found found;
    uint32_t versioned;       /* an unversioned reference met this versioned definition … */
    uint32_t versioned_count; /* … and so many in all; exactly one will do */
};

/* check_match's version rules. */
static enum lb_how version_matches(const struct lb_symbols *s, uint32_t index, const struct lb_wanted *w, struct candidate *c)
{
    uint16_t versym = 0;
    bool has_versions = versym_of(s, index, &versym);
    if (!has_versions)
        return LB_HOW_UNVERSIONED;
    uint32_t at = versym & VERSION_INDEX;
    if (w->version) {
        const struct lb_version *have = at < s->version_count ? &s->versions[at] : NULL;
        uint32_t have_hash = have ? have->hash : 0;
        if (have && have_hash == w->version->hash && same_text(have->name, w->version->name))
            return LB_HOW_EXACT;
        if (w->version->hidden || have_hash || (versym & VERSION_HIDDEN))
            return LB_HOW_NONE;
        return LB_HOW_DEFAULT;
    }
    if (at >= (w->newest ? 2u : 3u)) {
        if (!(versym & VERSION_HIDDEN) && c->versioned_count++ == 0)
            c->versioned = index;
        return LB_HOW_NONE;
    }
    return LB_HOW_BASE;
}

/* Pays for steps along a chain and for the comparisons that may come with them; false where nothing is left. */
static bool spend(const struct lb_wanted *w, uint32_t steps)
{
    uint64_t price = steps * (uint64_t)(1 + w->name.length / 64);
    if (*w->budget < price) {
        *w->budget = 0;
        return false;
    }
    *w->budget -= price;
    return true;
}

/* check_match: whether symbol `index` is the one; notes it in `c`. */
static bool check(const struct lb_symbols *s, uint32_t index, const struct lb_wanted *w, struct candidate *c)
{
    struct lb_symbol sym;
    uint32_t name = 0;
    if (!symbol_fields(s, index, &sym, &name))
        return false;
    uint8_t type = ELF64_ST_TYPE(sym.info);
    if (sym.value == 0 && sym.section != SHN_ABS && type != STT_TLS)
        return false;
    if (w->class == LB_CLASS_PLT && sym.section == SHN_UNDEF)
        return false;
    const uint32_t allowed = 1u << STT_NOTYPE | 1u << STT_OBJECT | 1u << STT_FUNC | 1u << STT_COMMON |
                             1u << STT_TLS | 1u << STT_GNU_IFUNC;
    if (!(allowed >> type & 1) || !name_is(s, name, w->name))
        return false;
    enum lb_how how = version_matches(s, index, w, c);
    if (how == LB_HOW_NONE)
        return false;
    c->found = (struct lb_found){how, index, sym};
    return true;
}

/* The bloom filter of DT_GNU_HASH: false where the object cannot define a symbol of this hash.  Most questions end here,
 * hence no bounds check: read_gnu_hash has checked the filter as a whole. */
static inline bool may_pass(const struct lb_symbols *s, uint32_t hash)
{
    const struct lb_gnu_hash *g = &s->gnu;
    uint32_t bits = s->view.is64 ? 64 : 32, at = hash / bits;
    bool is_power = (g->bloom_words & (g->bloom_words - 1)) == 0;
    const uint8_t *filter = s->view.data + g->bloom + (uint64_t)(is_power ? at & (g->bloom_words - 1) : at % g->bloom_words) * (bits / 8);
    uint64_t word = 0;
    uint32_t narrow;
    if (s->view.is64) {
        memcpy(&word, filter, sizeof word);
        word = s->view.swap ? __builtin_bswap64(word) : word;
    } else {
        memcpy(&narrow, filter, sizeof narrow);
        word = s->view.swap ? __builtin_bswap32(narrow) : narrow;
    }
    uint32_t second = g->bloom_shift < 32 ? hash >> g->bloom_shift : 0;
    return word >> (hash % bits) & word >> (second % bits) & 1;
}

bool lb_may_define(const struct lb_symbols *s, uint32_t hash)
{
    if (s->at.gnu_hash != LB_ABSENT)
        return s->gnu.bucket_count && may_pass(s, hash);
    return s->at.sysv_hash != LB_ABSENT;
}

bool lb_chain_begins(const struct lb_symbols *s, uint32_t hash, uint32_t *symbol)
{
    return lb_read32(&s->view, lb_gnu_bucket(&s->gnu, hash), symbol) && *symbol >= s->gnu.first_symbol;
}

/* The rest of a chain of DT_GNU_HASH, whose last entry has bit 0 set. */
static void walk_chain(const struct lb_symbols *s, const struct lb_wanted *w, uint32_t index, struct candidate *c)
{
    uint32_t hash = w->gnu_hash;
    for (uint32_t link = 0; lb_read32(&s->view, lb_gnu_chain(&s->gnu, index), &link); index++) {
        if (!spend(w, 1))
            return;
        if ((link ^ hash) >> 1 == 0 && check(s, index, w, c))
            return;
        if (link & 1 || index == UINT32_MAX)
            return;
    }
}

/* DT_HASH's entries are words of 4 bytes, but of 8 in the 64-bit ABIs of s390x and Alpha. */
static bool read_hash_entry(const struct lb_view *v, uint64_t table, uint64_t entry, uint64_t index, uint32_t *out)
{
    uint64_t wide = 0;
    if (entry == 4)
        return lb_read32(v, table + 4 * index, out);
    if (!lb_read64(v, table + 8 * index, &wide) || wide > UINT32_MAX)
        return false;
    *out = (uint32_t)wide;
    return true;
}

/* DT_HASH (gABI): a chain visits each symbol once, so more than nchain steps mean that it cycles.  nchain itself may be
 * a lie: there are no more symbols than entries fit into the file. */
static void walk_sysv(const struct lb_symbols *s, const struct lb_wanted *w, struct candidate *c)
{
    const struct lb_view *v = &s->view;
    uint16_t machine = lb_machine(v);
    uint64_t at = s->at.sysv_hash, entry = v->is64 && (machine == EM_S390 || machine == EM_ALPHA) ? 8 : 4;
    uint32_t nbucket = 0, nchain = 0, index = 0, hash = lb_sysv_hash(w->name);
    if (!read_hash_entry(v, at, entry, 0, &nbucket) || !read_hash_entry(v, at, entry, 1, &nchain) || !nbucket)
        return;
    if (!read_hash_entry(v, at, entry, 2 + (uint64_t)(hash % nbucket), &index))
        return;
    if (nchain > v->size / entry)
        nchain = (uint32_t)(v->size / entry);
    for (uint32_t steps = 0; index != STN_UNDEF && steps < nchain; steps++) {
        if (!spend(w, 1) || check(s, index, w, c))
            return;
        if (!read_hash_entry(v, at, entry, 2 + (uint64_t)nbucket + index, &index))
            return;
    }
}

/* What the chain has given, as do_lookup_x takes it. */
static bool is_definition(const struct lb_symbols *s, const struct lb_wanted *w, struct candidate *c)
{
    struct lb_found *found = &c->found;
    if (found->how == LB_HOW_NONE && c->versioned_count == 1) {
        *found = (struct lb_found){.how = w->newest ? LB_HOW_DEFAULT : LB_HOW_ONLY, .symbol = c->versioned};
        if (!lb_symbol_fields(s, found->symbol, &found->fields))
            return false;
    }
    if (found->how == LB_HOW_NONE)
        return false;
    uint8_t visibility = ELF64_ST_VISIBILITY(found->fields.other), binding = ELF64_ST_BIND(found->fields.info);
    if (visibility == STV_HIDDEN || visibility == STV_INTERNAL)
        return false;
    return binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE;
}

bool lb_search_from(const struct lb_symbols *s, const struct lb_wanted *w, uint32_t start, uint32_t passed,
                    struct lb_found *out)
{
    struct candidate c = {.found.how = LB_HOW_NONE};
    if (s->at.gnu_hash == LB_ABSENT)
        walk_sysv(s, w, &c);
    else if (spend(w, passed))
        walk_chain(s, w, start, &c);
    if (!is_definition(s, w, &c))
        return false;
    *out = c.found;
    return true;
}

/* One object's turn in do_lookup_x. */
bool lb_search(const struct lb_symbols *s, const struct lb_wanted *w, struct lb_found *out)
{
    uint32_t start = 0;
    if (!lb_may_define(s, w->gnu_hash) || (s->at.gnu_hash != LB_ABSENT && !lb_chain_begins(s, w->gnu_hash, &start)))
        return false;
    return lb_search_from(s, w, start, 0, out);
}

/* What is looked for ---------------------------------------------------------------------------------------- */

static struct lb_wanted make_wanted(struct lb_text name, const struct lb_version *version, enum lb_class class,
                                    bool newest, uint64_t *budget)
{
    return (struct lb_wanted){name, version, class, newest, lb_gnu_hash(name), budget};
}

bool lb_want(const struct lb_symbols *referrer, uint32_t index, enum lb_class class, const struct lb_symbol *own,
             uint64_t *budget, struct lb_wanted *out)
{
    uint8_t visibility = ELF64_ST_VISIBILITY(own->other);
    if (ELF64_ST_BIND(own->info) == STB_LOCAL || visibility == STV_HIDDEN || visibility == STV_INTERNAL)
        return false;
    *out = make_wanted(own->name, lb_version_of(referrer, index, NULL), class, false, budget);
    return true;
}

struct lb_wanted lb_wanted_by_name(struct lb_text name, const struct lb_version *version, uint64_t *budget)
{
    return make_wanted(name, version, LB_CLASS_PLT, version == NULL, budget);
}

struct lb_match lb_find(const struct lb_symbols *s, struct lb_text name, const struct lb_version *version)
{
    uint64_t budget = UINT64_MAX; /* one chain is no longer than the file */
    struct lb_wanted w = lb_wanted_by_name(name, version, &budget);
    struct lb_found found;
    if (!lb_search(s, &w, &found))
        return (struct lb_match){LB_HOW_NONE, UINT32_MAX, 0};
    return (struct lb_match){found.how, 0, found.symbol};
}
