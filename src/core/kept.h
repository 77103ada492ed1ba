/* A kept plan as a file's bytes (latebind/linkplan/kept.py says what it is for), and the evidence that it rests on.
 *
 * A header, then five parts: the question that the plan answers; the evidence that has to be looked at before the plan is
 * used, and that which the core looks at when it opens the files; the record, which says what the packed plan does not; and
 * the packed plan (plan.h), which begins at a multiple of 8 bytes.  Nobody but the user can have written it, but it may be
 * damaged. */
#ifndef LATEBIND_KEPT_H
#define LATEBIND_KEPT_H

#include <stddef.h>
#include <stdint.h>

#define LB_KEPT_MAGIC "LBKEPT\r\n" /* eight bytes */

enum lb_kept_part { LB_KEPT_QUESTION, LB_KEPT_WATCHED, LB_KEPT_OPENED, LB_KEPT_RECORD, LB_KEPT_PLAN, LB_KEPT_PARTS };

struct lb_kept_header { /* kept.py's _HEADER */
    char magic[8];
    uint32_t version;
    uint32_t reserved;
    uint64_t sizes[LB_KEPT_PARTS]; /* in bytes */
    uint64_t checksum; /* of what follows, seeded with that of this header, in which it is 0 */
};

struct lb_entry { /* where each part begins, and where the last one ends: offsets in the file */
    uint64_t bounds[LB_KEPT_PARTS + 1];
};

/* The record: a header, the object indexes of the scope and of the constructors' order, then each object: its fixed part,
 * its name and its path (UTF-8, bytes that are none as Python's surrogateescape has them), what it needs, what it holds,
 * and the unique symbols of others that it is bound to: (owner, bytes of the name) of each, then the names.  Nothing is
 * aligned, but for what the parts themselves are. */
struct lb_record_header {
    uint32_t objects, scope, order; /* how many */
    uint32_t closure_size;
};

enum lb_record_flag {
    LB_RECORD_PRESENT = 1,
    LB_RECORD_GIVES_TLS = 2,
    LB_RECORD_NODELETE = 4,
    LB_RECORD_HAS_IDENTITY = 8,
};

struct lb_record_object { /* PreparedObject of latebind/linkplan/prepared.py */
    int64_t identity[4];
    uint32_t role, flags;
    uint32_t name_size, path_size; /* in bytes */
    uint32_t needs, holds, uniques; /* how many */
    uint32_t reserved;
};

/* NULL, or what is wrong with the `size` bytes. */
const char *lb_kept_read(const uint8_t *data, size_t size, uint32_t version, struct lb_entry *kept);

/* Where the entry for a question lies: `<folder>/<checksum of the question>.plan`.  Returns what snprintf does. */
int lb_kept_path(char *path, size_t room, const char *folder, const char *question, size_t size);

/* Device, inode, size in bytes and modification time in nanoseconds; four times -1 where there is nothing.  What changes
 * in a folder does not matter to those who ask, only whether it is there: its last two are 0. */
void lb_identify(const char *path, int64_t identity[4]);

/* Evidence is a row of records: an identity and a path that ends with a NUL.  The number of the first path that is not as
 * its record says; LB_NO_CHANGE; LB_NO_EVIDENCE: these are no records. */
#define LB_NO_CHANGE (-1)
#define LB_NO_EVIDENCE (-2)
int64_t lb_first_change(const uint8_t *evidence, size_t size);

#endif
