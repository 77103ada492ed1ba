/* The references of one object, bound in a scope: one row for each symbol and class of reference, and no Python object
 * for any of them.  A large library refers to ten thousand symbols; what is asked of all of them (are they defined, what
 * does the packed plan say) is answered from the rows, and what is asked of one is made from its row. */
#ifndef LATEBIND_BINDINGS_H
#define LATEBIND_BINDINGS_H

#include "match.h"
#include "plan.h"
#include "references.h"

struct lb_bound { /* one referenced symbol and its definition */
    uint32_t symbol;        /* index in the referrer's table */
    uint32_t target_symbol; /* index in the definer's table */
    uint32_t scope;         /* the definer's place in the scope; LB_SELF, or LB_NOWHERE */
    uint8_t how;            /* enum lb_how */
    uint8_t kind;           /* enum lb_binding_kind */
    uint8_t class;          /* enum lb_class */
    uint8_t flags;          /* enum lb_bound_flag */
    uint64_t value, size;   /* st_value and st_size of the definition */
    uint64_t types;         /* through which relocation types: a bit for each of the list's */
};

#define LB_SELF (UINT32_MAX - 1) /* the referrer itself, whatever the scope holds */
#define LB_NOWHERE UINT32_MAX

enum lb_bound_flag {
    LB_BOUND_WEAK = 1,    /* the reference is weak */
    LB_BOUND_UNIQUE = 2,  /* the definition is an STB_GNU_UNIQUE one */
    LB_BOUND_WATCHED = 4, /* its name is among the watched ones */
};

struct lb_names { /* a set of names, as their GNU hashes: open addressing, 0 is an empty place */
    uint32_t *slots;
    uint32_t mask; /* number of slots - 1; a power of two minus 1 */
};

struct lb_request { /* what to bind, and where */
    const struct lb_symbols *referrer;
    const struct lb_symbols *const *scope;
    uint32_t scope_count;
    uint32_t copy_skips;         /* the place in the scope that COPY references pass over; LB_NOWHERE for none */
    const uint32_t *plt_types;   /* relocation types of class LB_CLASS_PLT */
    uint32_t plt_type_count;
    uint32_t copy_type;          /* 0: the machine has none */
    const struct lb_names *watched;
};

struct lb_bound_list {
    struct lb_bound *rows;
    uint32_t count;
    uint32_t types[64]; /* the relocation types that the bits stand for */
    uint32_t type_count;
    uint64_t own_types; /* types of the references without a symbol, which are to the object itself */
};

/* Makes the rows of all of `references`, grouped by class (enum lb_class), in order of first appearance, without what they
 * are bound to; what is seen in the list is used up.  Returns 0, or -1 with errno ENOMEM. */
int lb_bound_begin(const struct lb_request *request, struct lb_reference_list *references, struct lb_bound_list *out);

/* Room for what a thread notes while it binds a block; NULL where there is no memory.  free() gives it back. */
struct lb_scratch *lb_scratch_make(void);

/* Binds rows: those of a block, of which the list has so many.  Blocks do not depend on one another.  Steps along hash
 * chains are paid for out of `budget`; where it becomes 0, the answer does not count.
 * Returns 0, or -1 where the symbol of the row *bad_row is not in the file. */
uint32_t lb_bound_blocks(const struct lb_bound_list *list);
int lb_bound_block(const struct lb_request *request, const struct lb_bound_list *list, uint32_t block,
                   struct lb_scratch *scratch, uint64_t *budget, uint32_t *bad_row);

void lb_bound_release(struct lb_bound_list *list);

/* Makes the set of `count` hashes.  Returns 0, or -1 with errno ENOMEM. */
int lb_names_make(struct lb_names *names, const uint32_t *hashes, uint32_t count);
void lb_names_release(struct lb_names *names);

/* The packed plan's record of `row`; `objects` are the plan's indexes of the scope, `self` the referrer's. */
struct lb_plan_binding lb_bound_record(const struct lb_bound *row, const uint32_t *objects, uint32_t self);

#endif
