/* Which symbols the relocations of a file refer to, each (symbol, type) once: a linear pass over its tables. */
#ifndef LATEBIND_REFERENCES_H
#define LATEBIND_REFERENCES_H

#include "match.h"

struct lb_relocation_table {
    uint64_t offset, size; /* in the file, bytes */
    bool has_addend;       /* RELA rather than REL */
};

struct lb_reference {
    uint32_t symbol, type;
};

struct lb_reference_list {
    struct lb_reference *items;
    uint64_t count, room;
    uint64_t *seen; /* per symbol: a bit for each distinct type, in the order of `types` */
    uint32_t seen_count;
    uint32_t types[64];
    uint32_t type_count;
};

/* Adds the references of one table, in order of first appearance.  Symbol 0 counts too: a TLS relocation without a
 * symbol refers to the object itself.  `relative` (the machine's RELATIVE type) is passed over.
 * Returns 0, or -1 with errno ENOMEM, EINVAL (the table is not in the file) or E2BIG (more than 64 types). */
int lb_references_add(struct lb_reference_list *list, const struct lb_view *view,
                      const struct lb_relocation_table *table, uint32_t relative);
/* Adds one reference that stands elsewhere. Returns 0, or -1 with errno ENOMEM, EINVAL or E2BIG as above. */
int lb_references_note(struct lb_reference_list *list, const struct lb_view *view, uint32_t symbol, uint32_t type);
/* Makes it an empty list again that keeps its room. */
void lb_references_clear(struct lb_reference_list *list);
void lb_references_release(struct lb_reference_list *list);

#endif
