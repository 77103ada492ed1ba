/* What planning needs to know of an object's file: where its tables are, and what the packed plan says of it.
 *
 * As summary.c, this is a fast reader of plain files (64 bits, this machine's byte order) and no second definition of the
 * format: where anything is unusual it says so and stops, and latebind.elf and linkplan/format.py give the answer or the
 * error.  tests/linkplan/test_layout.py holds both together.  The bytes are untrusted. */
#ifndef LATEBIND_LAYOUT_H
#define LATEBIND_LAYOUT_H

#include "match.h"
#include "plan.h"
#include "references.h"

enum {
    LB_LAYOUT_SEGMENTS = 32,
    LB_LAYOUT_ENTRIES = 4096, /* of the dynamic section */
    LB_LAYOUT_BUILD_ID = 64,
};

struct lb_layout {
    struct lb_tables tables;
    struct lb_relocation_table relocations[2]; /* RELA behind its counted RELATIVE entries, JMPREL behind RELA's end */
    uint32_t relocation_count;
    struct lb_plan_object record; /* the mapping and the tables; the rest is zero */
    struct lb_plan_segment segments[LB_LAYOUT_SEGMENTS];
    uint32_t segment_count;
    uint8_t build_id[LB_LAYOUT_BUILD_ID];
    uint32_t build_id_size;
    bool has_stack; /* PT_GNU_STACK */
    uint32_t stack_flags;
};

/* Reads the file in `view`, which is for a machine whose pages have at most `largest_page` bytes, not 0; false where it is
 * not plain, and then `layout` means nothing. */
bool lb_layout_read(const struct lb_view *view, uint64_t largest_page, struct lb_layout *layout);

/* The GNU build-id among the notes in `size` bytes of a PT_NOTE segment aligned to 4: returns its size, 0 if none. */
uint32_t lb_build_id(const void *notes, uint64_t size, uint8_t out[LB_LAYOUT_BUILD_ID]);

#endif
