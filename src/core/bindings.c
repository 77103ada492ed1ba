/* Binding all references of an object; bindings.h says what for.  What counts as a definition is match.c's. */
#include "bindings.h"
#include "many.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- a set of names ------------------------------------------------------------------------------------------------ */

int lb_names_make(struct lb_names *names, const uint32_t *hashes, uint32_t count)
{
    uint32_t room = 16;
    while (room < 2 * (uint64_t)count && room < UINT32_C(1) << 30)
        room *= 2;
    names->slots = calloc(room, sizeof *names->slots);
    if (!names->slots)
        return errno = ENOMEM, -1;
    names->mask = room - 1;
    for (uint32_t i = 0; i < count && i < room / 2; i++) {
        uint32_t at = hashes[i] & names->mask;
        while (names->slots[at] && names->slots[at] != hashes[i])
            at = (at + 1) & names->mask;
        names->slots[at] = hashes[i];
    }
    return 0;
}

void lb_names_release(struct lb_names *names)
{
    free(names->slots);
    names->slots = NULL;
}

/* By hash alone: a name too many costs its reader a second look. */
static bool is_watched(const struct lb_names *names, uint32_t hash)
{
    if (!names || !names->slots)
        return false;
    for (uint32_t at = hash & names->mask; names->slots[at]; at = (at + 1) & names->mask)
        if (names->slots[at] == hash)
            return true;
    return false;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static uint8_t class_of(const struct lb_request *r, uint32_t type)
{
    for (uint32_t i = 0; i < r->plt_type_count; i++)
        if (r->plt_types[i] == type)
            return LB_CLASS_PLT;
    return type != 0 && type == r->copy_type ? LB_CLASS_COPY : LB_CLASS_ADDRESS;
}

/* The bits of the list's types that are of `class`. */
static uint64_t types_of_class(const struct lb_request *r, const struct lb_reference_list *list, uint8_t class)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < list->type_count; i++)
        if (class_of(r, list->types[i]) == class)
            bits |= UINT64_C(1) << i;
    return bits;
}

/* One row for each symbol that references of `class` name; their bits in `seen` go with it. */
static void collect(const struct lb_request *r, struct lb_reference_list *list, uint8_t class, struct lb_bound_list *out)
{
    uint64_t types = types_of_class(r, list, class);
    for (uint64_t i = 0; types != 0 && i < list->count; i++) {
        struct lb_reference item = list->items[i];
        uint64_t bits = list->seen[item.symbol] & types;
        if (bits == 0 || class_of(r, item.type) != class)
            continue;
        list->seen[item.symbol] &= ~types;
        out->rows[out->count++] = (struct lb_bound){.symbol = item.symbol, .class = class, .types = bits};
    }
}

int lb_bound_begin(const struct lb_request *r, struct lb_reference_list *list, struct lb_bound_list *out)
{
    static const uint8_t classes[] = {LB_CLASS_ADDRESS, LB_CLASS_PLT, LB_CLASS_COPY};
    out->rows = list->count < LB_SELF ? malloc((list->count + 1) * sizeof *out->rows) : NULL;
    if (!out->rows)
        return errno = ENOMEM, -1;
    memcpy(out->types, list->types, sizeof out->types);
    out->type_count = list->type_count;
    if (list->seen_count) {
        out->own_types = list->seen[STN_UNDEF];
        list->seen[STN_UNDEF] = 0;
    }
    for (uint32_t i = 0; i < sizeof classes; i++)
        collect(r, list, classes[i], out);
    return 0;
}

/* ---- binding ------------------------------------------------------------------------------------------------------- */

static const uint8_t kind_of_type[16] = {
    [STT_NOTYPE] = LB_BIND_DATA,   [STT_OBJECT] = LB_BIND_DATA,       [STT_FUNC] = LB_BIND_FUNCTION,
    [STT_SECTION] = LB_BIND_DATA,  [STT_FILE] = LB_BIND_DATA,         [STT_COMMON] = LB_BIND_DATA,
    [STT_TLS] = LB_BIND_TLS,       [STT_GNU_IFUNC] = LB_BIND_IFUNC,   [7] = LB_BIND_DATA,
    [8] = LB_BIND_DATA,            [9] = LB_BIND_DATA,                [11] = LB_BIND_DATA,
    [12] = LB_BIND_DATA,           [13] = LB_BIND_DATA,               [14] = LB_BIND_DATA,
    [15] = LB_BIND_DATA,
};

/* The definition's fields; a hidden and undefined symbol has none: nothing outside may define it, and it does not
 * itself. */
static void take_definition(struct lb_bound *row, const struct lb_symbol *found)
{
    row->value = found->value;
    row->size = found->size;
    row->kind = found->section == SHN_ABS ? LB_BIND_ABSOLUTE : kind_of_type[ELF64_ST_TYPE(found->info)];
    if (ELF64_ST_BIND(found->info) == STB_GNU_UNIQUE)
        row->flags |= LB_BOUND_UNIQUE;
}

static void bind_to_itself(struct lb_bound *row, const struct lb_symbol *own, enum lb_how how)
{
    row->how = (uint8_t)how;
    if (own->section == SHN_UNDEF)
        return;
    row->scope = LB_SELF;
    row->target_symbol = row->symbol;
    take_definition(row, own);
}

struct pending { /* a row that looks for its definition */
    struct lb_wanted wanted;
    struct lb_bound *row;
    bool is_protected; /* it is bound to itself unless the first definition is its own anyway */
};

enum { BLOCK = 512 }; /* rows: all that is kept of them stays in a processor's second cache */

struct lb_scratch {
    struct pending pending[BLOCK];
    struct lb_asked left[BLOCK], maybe[BLOCK]; /* by their numbers in `pending` */
};

struct lb_scratch *lb_scratch_make(void) { return malloc(sizeof(struct lb_scratch)); }

/* Fills in what the reference itself says.  Returns 1 where its definition is to be looked for in the scope, 0 where it
 * is bound already, or -1 where the symbol is not in the file. */
static int begin_row(const struct lb_request *r, struct lb_bound *row, uint64_t *budget, struct pending *out)
{
    struct lb_symbol own;
    row->scope = LB_NOWHERE;
    if (!lb_symbol_at(r->referrer, row->symbol, &own))
        return -1;
    if (ELF64_ST_BIND(own.info) == STB_WEAK)
        row->flags |= LB_BOUND_WEAK;
    row->kind = row->flags & LB_BOUND_WEAK ? LB_BIND_WEAK_UNDEFINED : LB_BIND_UNRESOLVED;
    bool is_wanted = lb_want(r->referrer, row->symbol, (enum lb_class)row->class, &own, budget, &out->wanted);
    if (is_watched(r->watched, is_wanted ? out->wanted.gnu_hash : lb_gnu_hash(own.name)))
        row->flags |= LB_BOUND_WATCHED;
    if (!is_wanted)
        bind_to_itself(row, &own, LB_HOW_LOCAL);
    out->is_protected = ELF64_ST_VISIBILITY(own.other) == STV_PROTECTED;
    return is_wanted;
}

static void end_row(const struct lb_request *r, const struct pending *p, uint32_t place, const struct lb_found *found)
{
    struct lb_bound *row = p->row;
    if (p->is_protected && r->scope[place] != r->referrer) {
        struct lb_symbol own = {0};
        lb_symbol_fields(r->referrer, row->symbol, &own);
        bind_to_itself(row, &own, LB_HOW_PROTECTED);
        return;
    }
    row->how = (uint8_t)found->how;
    row->scope = place;
    row->target_symbol = found->symbol;
    take_definition(row, &found->fields);
}

/* Looks for those of `maybe` in one object of the scope, which its filter lets pass; the others go back to `left`, whose
 * new number is returned. */
static uint32_t search_one(const struct lb_request *r, uint32_t place, struct lb_scratch *s, uint32_t left, uint32_t count)
{
    const struct lb_symbols *object = r->scope[place];
    struct lb_start starts[LB_GROUP];
    for (uint32_t i = 0; i < count; i++) {
        const struct pending *one = &s->pending[s->maybe[i].number];
        const struct lb_start *start = &starts[i % LB_GROUP];
        bool is_passed_over = one->row->class == LB_CLASS_COPY && place == r->copy_skips; /* the program's own symbol */
        struct lb_found found;
        if (i % LB_GROUP == 0)
            lb_approach(object, &s->maybe[i], count - i < LB_GROUP ? count - i : LB_GROUP, starts);
        if (!is_passed_over && !start->is_vain &&
            lb_search_from(object, &one->wanted, start->symbol, start->passed, &found))
            end_row(r, one, place, &found);
        else
            s->left[left++] = s->maybe[i];
    }
    return left;
}

/* Object by object: so each object's filter and tables stay in the cache, which a search for one symbol after the other
 * would wander through again and again.  The file that a reference names for its version is not asked first, and need not
 * be the one: since glibc 2.34 `dlsym` of libdl.so.2's version GLIBC_2.2.5 is found in libc.so.6. */
static void search_scope(const struct lb_request *r, struct lb_scratch *s, uint32_t count, const uint64_t *budget)
{
    for (uint32_t place = 0; place < r->scope_count && count != 0 && *budget != 0; place++) {
        uint32_t passed = lb_sift(r->scope[place], s->left, count, s->maybe);
        count = search_one(r, place, s, count - passed, passed);
    }
}

uint32_t lb_bound_blocks(const struct lb_bound_list *list)
{
    return list->count / BLOCK + (list->count % BLOCK != 0);
}

int lb_bound_block(const struct lb_request *r, const struct lb_bound_list *list, uint32_t block, struct lb_scratch *s,
                   uint64_t *budget, uint32_t *bad_row)
{
    uint32_t left = 0, first = block * BLOCK, end = list->count - first < BLOCK ? list->count : first + BLOCK;
    for (uint32_t i = first; i < end; i++) {
        if (i + 2 * LB_GROUP < end)
            lb_draw_symbol(r->referrer, list->rows[i + 2 * LB_GROUP].symbol);
        if (i + LB_GROUP < end)
            lb_draw_name(r->referrer, list->rows[i + LB_GROUP].symbol);
        struct pending *one = &s->pending[left];
        one->row = &list->rows[i];
        int is_pending = begin_row(r, one->row, budget, one);
        if (is_pending < 0)
            return *bad_row = i, -1;
        if (is_pending) {
            s->left[left] = (struct lb_asked){one->wanted.gnu_hash, left};
            left++;
        }
    }
    search_scope(r, s, left, budget);
    return 0;
}

void lb_bound_release(struct lb_bound_list *list)
{
    int number = errno; /* of what went wrong before */
    free(list->rows);
    *list = (struct lb_bound_list){0};
    errno = number;
}

struct lb_plan_binding lb_bound_record(const struct lb_bound *row, const uint32_t *objects, uint32_t self)
{
    bool is_defined = row->scope != LB_NOWHERE;
    uint32_t object = !is_defined ? UINT32_MAX : row->scope == LB_SELF ? self : objects[row->scope];
    return (struct lb_plan_binding){row->symbol, row->kind, object, 0, is_defined ? row->value : 0};
}
