/* Many look-ups at a time.
 *
 * One look-up waits for memory six times, each time for an address that it has just read: a word of the filter, the
 * bucket, the chain, the symbol, its version, its name.  In a large library hardly any of them is in a cache.  For a
 * number of look-ups these waits can pass together: first the filter is asked for all of them, which most do not get
 * past; then the memory that the others will read is asked for, step by step for all of a group, before match.c reads
 * it.  What is a definition, match.c alone says: here only those names are left out that an object has no hash of. */
#ifndef LATEBIND_MANY_H
#define LATEBIND_MANY_H

#include "match.h"

struct lb_asked { /* one look-up: its name's GNU hash, and its caller's number */
    uint32_t hash, number;
};

enum { LB_GROUP = 16 }; /* so many at a time: about what a core can wait for at once */

/* Splits `count` look-ups: those that `symbols` may answer go to `maybe`, the others stay in `asked`, closed up.
 * Returns how many are in `maybe`, which has room for all of them. */
uint32_t lb_sift(const struct lb_symbols *symbols, struct lb_asked *asked, uint32_t count, struct lb_asked *maybe);

struct lb_start { /* where the search for one of them starts (lb_search_from) */
    bool is_vain; /* nowhere: the object has no symbol of this hash */
    uint32_t symbol, passed;
};

/* Finds out where the search for each of these starts, LB_GROUP at the most, and asks for the memory that it will read. */
void lb_approach(const struct lb_symbols *symbols, const struct lb_asked *maybe, uint32_t count, struct lb_start *starts);

/* Asks for the memory that lb_symbol_at and lb_version_of will read: first for the symbol itself, and when that is there,
 * for its name. */
void lb_draw_symbol(const struct lb_symbols *symbols, uint32_t index);
void lb_draw_name(const struct lb_symbols *symbols, uint32_t index);

#endif
