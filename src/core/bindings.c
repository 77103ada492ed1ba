/* Binding all references of an object; bindings.h says what for.  What counts as a definition is match.c's. */
#include "bindings.h"

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
    uint32_t row;
    bool is_protected; /* it is bound to itself unless the first definition is its own anyway */
};

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

static void end_row(const struct lb_request *r, struct lb_bound *row, const struct pending *p, uint32_t place,
                    enum lb_how how, uint32_t symbol)
{
    struct lb_symbol found = {0};
    if (p->is_protected && r->scope[place] != r->referrer) {
        lb_symbol_fields(r->referrer, row->symbol, &found);
        bind_to_itself(row, &found, LB_HOW_PROTECTED);
        return;
    }
    lb_symbol_fields(r->scope[place], symbol, &found);
    row->how = (uint8_t)how;
    row->scope = place;
    row->target_symbol = symbol;
    take_definition(row, &found);
}

/* Looks for all of `pending` in the scope, object by object: so each object's filter and tables stay in the cache, which
 * a search for one symbol after the other would wander through again and again. */
static void search_scope(const struct lb_request *r, struct lb_bound *rows, struct pending *pending, uint32_t count,
                         const uint64_t *budget)
{
    for (uint32_t place = 0; place < r->scope_count && count != 0 && *budget != 0; place++) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct lb_bound *row = &rows[pending[i].row];
            bool is_passed_over = row->class == LB_CLASS_COPY && place == r->copy_skips; /* the program's own symbol */
            enum lb_how how;
            uint32_t symbol;
            if (!is_passed_over && lb_search(r->scope[place], &pending[i].wanted, &how, &symbol))
                end_row(r, row, &pending[i], place, how, symbol);
            else if (left++ != i)
                pending[left - 1] = pending[i];
        }
        count = left;
    }
}

static uint8_t class_of(const struct lb_request *r, uint32_t type)
{
    for (uint32_t i = 0; i < r->plt_type_count; i++)
        if (r->plt_types[i] == type)
            return LB_CLASS_PLT;
    return type != 0 && type == r->copy_type ? LB_CLASS_COPY : LB_CLASS_ADDRESS;
}

static int bit_of(const struct lb_reference_list *list, uint32_t type)
{
    for (uint32_t i = 0; i < list->type_count; i++)
        if (list->types[i] == type)
            return (int)i;
    return 0; /* every type of an item is in the list */
}

/* One row for each symbol that references of `class` name; `known` holds per symbol its row + 1. */
static void collect(const struct lb_request *r, const struct lb_reference_list *list, uint8_t class, uint32_t *known,
                    struct lb_bound_list *out)
{
    uint8_t classes[64];
    for (uint32_t i = 0; i < list->type_count; i++)
        classes[i] = class_of(r, list->types[i]);
    for (uint64_t i = 0; i < list->count; i++) {
        int bit = bit_of(list, list->items[i].type);
        uint32_t symbol = list->items[i].symbol;
        if (classes[bit] != class || symbol == STN_UNDEF)
            continue;
        if (!known[symbol]) {
            out->rows[out->count] = (struct lb_bound){.symbol = symbol, .class = class};
            known[symbol] = ++out->count;
        }
        out->rows[known[symbol] - 1].types |= UINT64_C(1) << bit;
    }
}

int lb_bind_references(const struct lb_request *request, const struct lb_reference_list *references,
                       struct lb_bound_list *out, uint64_t *budget, uint32_t *bad_symbol)
{
    static const uint8_t classes[] = {LB_CLASS_ADDRESS, LB_CLASS_PLT, LB_CLASS_COPY};
    uint64_t symbols = references->seen_count, room = references->count;
    uint32_t *known = calloc(symbols + 1, sizeof *known);
    struct pending *pending = calloc(room + 1, sizeof *pending);
    out->rows = calloc(room + 1, sizeof *out->rows);
    int result = known && pending && out->rows && room < LB_SELF ? 0 : (errno = ENOMEM, -1);
    for (uint32_t c = 0; c < sizeof classes && result == 0; c++) {
        collect(request, references, classes[c], known, out);
        memset(known, 0, symbols * sizeof *known);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < out->count && result == 0; i++) {
        int is_pending = begin_row(request, &out->rows[i], budget, &pending[count]);
        *bad_symbol = out->rows[i].symbol;
        result = is_pending < 0 ? (errno = EINVAL, -1) : 0;
        pending[count].row = i;
        count += is_pending > 0;
    }
    if (result == 0)
        search_scope(request, out->rows, pending, count, budget);
    if (references->seen_count)
        out->own_types = references->seen[STN_UNDEF];
    free(known);
    free(pending);
    if (result < 0)
        lb_bound_release(out);
    return result;
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
