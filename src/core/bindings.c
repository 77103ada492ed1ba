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

/* Where the match lies, and the definition's fields; a hidden and undefined symbol has none: nothing outside may define
 * it, and it does not itself. */
static void take_definition(struct lb_bound *row, const struct lb_symbol *own, struct lb_match match,
                            const struct lb_symbols *const *scope)
{
    struct lb_symbol found = {0};
    row->how = (uint8_t)match.how;
    row->scope = match.scope;
    row->kind = row->flags & LB_BOUND_WEAK ? LB_BIND_WEAK_UNDEFINED : LB_BIND_UNRESOLVED;
    if (match.how == LB_HOW_LOCAL || match.how == LB_HOW_PROTECTED) {
        row->scope = own->section != SHN_UNDEF ? LB_SELF : LB_NOWHERE;
        found = *own;
    } else if (match.scope != UINT32_MAX) {
        lb_symbol_at(scope[match.scope], match.symbol, &found);
    }
    if (row->scope == LB_NOWHERE)
        return;
    row->target_symbol = match.symbol;
    row->value = found.value;
    row->size = found.size;
    row->kind = found.section == SHN_ABS ? LB_BIND_ABSOLUTE : kind_of_type[ELF64_ST_TYPE(found.info)];
    if (ELF64_ST_BIND(found.info) == STB_GNU_UNIQUE)
        row->flags |= LB_BOUND_UNIQUE;
}

/* A COPY reference passes the program over, whose own symbol it is: it is bound in the scope without that place. */
static struct lb_match bind_copy(const struct lb_request *r, uint32_t symbol, const struct lb_symbols **rest,
                                 uint64_t *budget)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->scope_count; i++)
        if (i != r->copy_skips)
            rest[count++] = r->scope[i];
    struct lb_match found = lb_bind(r->referrer, symbol, LB_CLASS_COPY, rest, count, budget);
    if (found.scope != UINT32_MAX && found.scope >= r->copy_skips)
        found.scope++;
    return found;
}

static int bind_row(const struct lb_request *r, struct lb_bound *row, const struct lb_symbols **rest, uint64_t *budget)
{
    struct lb_symbol own;
    if (!lb_symbol_at(r->referrer, row->symbol, &own))
        return errno = EINVAL, -1;
    if (ELF64_ST_BIND(own.info) == STB_WEAK)
        row->flags |= LB_BOUND_WEAK;
    if (is_watched(r->watched, lb_gnu_hash(own.name)))
        row->flags |= LB_BOUND_WATCHED;
    struct lb_match match = row->class == LB_CLASS_COPY
                                ? bind_copy(r, row->symbol, rest, budget)
                                : lb_bind(r->referrer, row->symbol, (enum lb_class)row->class, r->scope,
                                          r->scope_count, budget);
    take_definition(row, &own, match, r->scope);
    return 0;
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
    const struct lb_symbols **rest = calloc((size_t)request->scope_count + 1, sizeof *rest);
    out->rows = calloc(room + 1, sizeof *out->rows);
    int result = known && rest && out->rows && room < LB_SELF ? 0 : (errno = ENOMEM, -1);
    for (uint32_t c = 0; c < sizeof classes && result == 0; c++) {
        collect(request, references, classes[c], known, out);
        memset(known, 0, symbols * sizeof *known);
    }
    for (uint32_t i = 0; i < out->count && result == 0; i++) {
        *bad_symbol = out->rows[i].symbol;
        result = bind_row(request, &out->rows[i], rest, budget);
        if (*budget == 0)
            break;
    }
    if (references->seen_count)
        out->own_types = references->seen[STN_UNDEF];
    free(known);
    free(rest);
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
