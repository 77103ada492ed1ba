/* Which symbols the relocations of a file refer to; references.h says what for.  A plan holds one binding per
 * referenced symbol, so this is the pass that makes it small: hundreds of thousands of entries in, thousands out. */
#include "references.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int type_bit(struct lb_reference_list *list, uint32_t type)
{
    for (uint32_t i = 0; i < list->type_count; i++)
        if (list->types[i] == type)
            return (int)i;
    if (list->type_count == 64)
        return errno = E2BIG, -1;
    list->types[list->type_count] = type;
    return (int)list->type_count++;
}

static int make_room(struct lb_reference_list *list, uint32_t symbol)
{
    if (symbol >= list->seen_count) {
        uint64_t count = (uint64_t)symbol + 1;
        count += count / 2;
        uint64_t *grown = realloc(list->seen, count * sizeof *grown);
        if (!grown)
            return errno = ENOMEM, -1;
        memset(grown + list->seen_count, 0, (count - list->seen_count) * sizeof *grown);
        list->seen = grown;
        list->seen_count = (uint32_t)(count > UINT32_MAX ? UINT32_MAX : count);
    }
    if (list->count == list->room) {
        uint64_t room = list->room ? list->room * 2 : 256;
        struct lb_reference *grown = realloc(list->items, room * sizeof *grown);
        if (!grown)
            return errno = ENOMEM, -1;
        list->items = grown;
        list->room = room;
    }
    return 0;
}

static int add(struct lb_reference_list *list, uint32_t symbol, uint32_t type)
{
    int bit = type_bit(list, type);
    if (bit < 0)
        return -1;
    if (symbol < list->seen_count && list->seen[symbol] >> bit & 1)
        return 0;
    if (make_room(list, symbol) < 0)
        return -1;
    list->seen[symbol] |= UINT64_C(1) << bit;
    list->items[list->count++] = (struct lb_reference){symbol, type};
    return 0;
}

/* r_info as the gABI has it: the symbol above, the type below.  mips64el stores the symbol first and then four bytes,
 * the (first) type last; on MIPS the highest byte is no part of the types. */
static uint64_t info64(uint64_t info, bool mips, bool little)
{
    if (!mips)
        return info;
    if (little)
        info = info << 32 | __builtin_bswap32((uint32_t)(info >> 32));
    return info & ~UINT64_C(0xff000000);
}

int lb_references_add(struct lb_reference_list *list, const struct lb_view *view,
                      const struct lb_relocation_table *table, uint32_t relative)
{
    uint64_t word = view->is64 ? 8 : 4, entry = word * (table->has_addend ? 3 : 2);
    if (table->offset > view->size || table->size > view->size - table->offset)
        return errno = EINVAL, -1;
    /* A symbol index beyond what the file can hold is broken; the bound also bounds `seen`. */
    uint64_t most_symbols = view->size / lb_symbol_size(view);
    bool mips = lb_machine(view) == EM_MIPS, little = lb_is_little(view);
    for (uint64_t at = table->offset, end = at + table->size / entry * entry; at < end; at += entry) {
        uint64_t info = 0;
        lb_read_word(view, at + word, &info);
        info = view->is64 ? info64(info, mips, little) : info;
        uint32_t type = view->is64 ? (uint32_t)info : info & 0xff;
        uint64_t symbol = view->is64 ? info >> 32 : info >> 8;
        if (type == relative)
            continue;
        if (symbol >= most_symbols)
            return errno = EINVAL, -1;
        if (add(list, (uint32_t)symbol, type) < 0)
            return -1;
    }
    return 0;
}

int lb_references_note(struct lb_reference_list *list, const struct lb_view *view, uint32_t symbol, uint32_t type)
{
    if (symbol >= view->size / lb_symbol_size(view))
        return errno = EINVAL, -1;
    return add(list, symbol, type);
}

void lb_references_clear(struct lb_reference_list *list)
{
    for (uint64_t i = 0; i < list->count; i++)
        list->seen[list->items[i].symbol] = 0;
    list->count = 0;
    list->type_count = 0;
}

void lb_references_release(struct lb_reference_list *list)
{
    free(list->items);
    free(list->seen);
    memset(list, 0, sizeof *list);
}
