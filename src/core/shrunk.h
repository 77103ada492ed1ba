/* Files that become shorter while they are mapped for reading: instead of SIGBUS their missing pages read as zeros, which
 * no table of an ELF file is made of, so that the reader finds the file malformed. */
#ifndef LATEBIND_SHRUNK_H
#define LATEBIND_SHRUNK_H

#include <stdint.h>

struct lb_guarded { /* a mapping; in a list while it is guarded */
    struct lb_guarded *next;
    uint64_t start, size;
};

/* From here to lb_unguard, reading the mapping behind the end of its file gives zeros. */
void lb_guard(struct lb_guarded *mapping);
void lb_unguard(struct lb_guarded *mapping);

#endif
