/* Many look-ups at a time; many.h says what for. */
#include "many.h"

#include <elf.h>
#include <string.h>

enum {
    CHAIN = 8, /* steps along a chain that are looked at ahead: as a rule it has two or three, a hostile one millions */
    LINE = 64, /* bytes of a cache line */
};

/* The filter's usual form: 64-bit words in the host's byte order, a power of two of them.  No branch depends on what it
 * says, so that the processor reads the words of several look-ups at once. */
static uint32_t sift_plain(const struct lb_symbols *s, struct lb_asked *asked, uint32_t count, struct lb_asked *maybe)
{
    const struct lb_gnu_hash *g = &s->gnu;
    const uint8_t *filter = s->view.data + g->bloom;
    uint32_t passed = 0, left = 0, mask = g->bloom_words - 1, shift = g->bloom_shift;
    for (uint32_t i = 0; i < count; i++) {
        struct lb_asked one = asked[i];
        uint64_t word;
        memcpy(&word, filter + (uint64_t)(one.hash / 64 & mask) * sizeof word, sizeof word);
        uint32_t passes = word >> (one.hash % 64) & word >> ((one.hash >> shift) % 64) & 1;
        maybe[passed] = one;
        asked[left] = one;
        passed += passes;
        left += 1 - passes;
    }
    return passed;
}

static uint32_t sift_any(const struct lb_symbols *s, struct lb_asked *asked, uint32_t count, struct lb_asked *maybe)
{
    uint32_t passed = 0, left = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct lb_asked one = asked[i];
        if (lb_may_define(s, one.hash))
            maybe[passed++] = one;
        else
            asked[left++] = one;
    }
    return passed;
}

uint32_t lb_sift(const struct lb_symbols *s, struct lb_asked *asked, uint32_t count, struct lb_asked *maybe)
{
    const struct lb_gnu_hash *g = &s->gnu;
    bool is_power = (g->bloom_words & (g->bloom_words - 1)) == 0;
    if (g->bucket_count && s->view.is64 && !s->view.swap && is_power && g->bloom_shift < 32)
        return sift_plain(s, asked, count, maybe);
    return sift_any(s, asked, count, maybe);
}

/* ---- memory that will be read ---------------------------------------------------------------------------------------- */

/* An address outside the file would do no harm, but none is made of what a file says without a look at its size. */
static inline void draw(const struct lb_view *view, uint64_t offset)
{
    if (offset < view->size)
        __builtin_prefetch(view->data + offset);
    __asm__ volatile(""); /* or gcc takes a function that only prefetches for one without effects, and drops its calls */
}

static uint64_t row_of(const struct lb_symbols *s, uint32_t index)
{
    return s->at.symtab + index * lb_symbol_size(&s->view);
}

void lb_draw_symbol(const struct lb_symbols *s, uint32_t index)
{
    draw(&s->view, row_of(s, index));
    draw(&s->view, s->at.versym + 2 * (uint64_t)index);
}

/* st_name is the first field of a symbol of either class.  C++ names are some 50 bytes long. */
void lb_draw_name(const struct lb_symbols *s, uint32_t index)
{
    uint32_t name = 0;
    if (!lb_read32(&s->view, row_of(s, index), &name))
        return;
    draw(&s->view, s->at.strtab + name);
    draw(&s->view, s->at.strtab + name + LINE);
}

/* Along the chain to the first symbol of this hash, if it is one of the next. */
static void follow(const struct lb_symbols *s, uint32_t hash, struct lb_start *start)
{
    for (uint32_t link = 0; start->passed < CHAIN && start->symbol != UINT32_MAX; start->symbol++, start->passed++) {
        start->is_vain = !lb_read32(&s->view, lb_gnu_chain(&s->gnu, start->symbol), &link);
        if (start->is_vain || (link ^ hash) >> 1 == 0)
            return;
        start->is_vain = link & 1;
        if (start->is_vain)
            return;
    }
}

void lb_approach(const struct lb_symbols *s, const struct lb_asked *maybe, uint32_t count, struct lb_start *starts)
{
    memset(starts, 0, count * sizeof *starts);
    if (s->at.gnu_hash == LB_ABSENT)
        return;
    for (uint32_t i = 0; i < count; i++)
        draw(&s->view, lb_gnu_bucket(&s->gnu, maybe[i].hash));
    for (uint32_t i = 0; i < count; i++) {
        starts[i].is_vain = !lb_chain_begins(s, maybe[i].hash, &starts[i].symbol);
        draw(&s->view, lb_gnu_chain(&s->gnu, starts[i].symbol));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!starts[i].is_vain)
            follow(s, maybe[i].hash, &starts[i]);
        if (!starts[i].is_vain)
            lb_draw_symbol(s, starts[i].symbol);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!starts[i].is_vain)
            lb_draw_name(s, starts[i].symbol);
}
