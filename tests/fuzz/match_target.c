/* Fuzz the core's symbol matching (match.c, many.c, references.c, bindings.c): any bytes, no undefined behaviour, no read outside, no
 * hang.  An input is a header that says where the tables are (tests/fuzz/seeds.py writes it) and the file's bytes, which
 * stand in a block of their own so that AddressSanitizer sees each read beyond them. */
#include "bindings.h"
#include "layout.h"
#include "match.h"
#include "references.h"

#include <stdlib.h>
#include <string.h>

struct head {
    uint8_t is64, swap, unused[6];
    uint64_t tables[10];
    uint64_t relocations[2][3];
};

enum { MOST_FOUND = 8 };

static int bind_rows(const struct lb_request *request, struct lb_reference_list *list, struct lb_bound_list *bound, uint64_t *budget)
{
    struct lb_scratch *scratch = lb_scratch_make();
    uint32_t bad_row;
    int result = scratch ? lb_bound_begin(request, list, bound) : -1;
    for (uint32_t i = 0; result == 0 && i < lb_bound_blocks(bound); i++)
        result = lb_bound_block(request, bound, i, scratch, budget, &bad_row);
    free(scratch);
    return result;
}

static void bind_all(const struct lb_symbols *symbols, struct lb_reference_list *list)
{
    const struct lb_symbols *scope[] = {symbols, symbols};
    const uint32_t plt_types[] = {7}, objects[] = {1, 2};
    struct lb_request request = {
        .referrer = symbols, .scope = scope, .scope_count = 2, .copy_skips = 0, .plt_types = plt_types,
        .plt_type_count = 1, .copy_type = 5,
    };
    struct lb_bound_list bound = {0};
    uint64_t budget = 1 << 20;
    if (bind_rows(&request, list, &bound, &budget) < 0) {
        lb_bound_release(&bound);
        return;
    }
    for (uint32_t i = 0; i < bound.count && budget; i++) {
        const struct lb_bound *row = &bound.rows[i];
        struct lb_symbol symbol, own;
        if (row->scope != LB_NOWHERE && !lb_symbol_at(symbols, row->target_symbol, &symbol))
            abort(); /* what is found can be read */
        if (lb_bound_record(row, objects, 0).symbol != row->symbol || !lb_symbol_at(symbols, row->symbol, &own))
            abort();
        if (i < MOST_FOUND)
            lb_find(symbols, own.name, i & 1 ? lb_version_of(symbols, row->symbol, NULL) : NULL);
    }
    lb_bound_release(&bound);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head head;
    if (size < sizeof head)
        return 0;
    memcpy(&head, data, sizeof head);
    size -= sizeof head;
    uint8_t *file = malloc(size ? size : 1);
    if (!file)
        return 0;
    memcpy(file, data + sizeof head, size);
    const uint64_t *t = head.tables;
    struct lb_symbols symbols = {
        .view = {file, size, head.is64 & 1, head.swap & 1},
        .at = {t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]},
    };
    struct lb_reference_list list = {0};
    uint64_t bad;
    if (lb_symbols_prepare(&symbols, &bad) == 0) {
        for (int i = 0; i < 2; i++) {
            struct lb_relocation_table table = {head.relocations[i][0], head.relocations[i][1], head.relocations[i][2] & 1};
            if (lb_references_add(&list, &symbols.view, &table, 8) < 0)
                break;
        }
        bind_all(&symbols, &list);
    }
    struct lb_layout layout;
    if (lb_layout_read(&symbols.view, 65536, &layout) && layout.segment_count == 0)
        abort(); /* what is plain has something to map */
    lb_references_release(&list);
    lb_symbols_release(&symbols);
    free(file);
    return 0;
}
