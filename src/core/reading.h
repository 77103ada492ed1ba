/* One file, read for a search, or for planning: its summary; then, where it is going to be loaded, its bytes and its layout. */
#ifndef LATEBIND_READING_H
#define LATEBIND_READING_H

#include "layout.h"
#include "shrunk.h"
#include "summary.h"

enum lb_outcome { LB_FILE_PLAIN, LB_FILE_ABSENT, LB_FILE_ODD };

struct lb_identity {
    uint64_t device, inode, size;
    int64_t time; /* of the last change of its content, in nanoseconds */
};

struct lb_reading {
    enum lb_outcome outcome; /* the rest means something for a plain one only */
    struct lb_identity identity;
    struct lb_summary *summary; /* a block that ends behind the names needed and a copy of the text */
    const char *text;           /* that copy */
    /* by lb_reading_map: */
    const uint8_t *data;      /* all its bytes */
    struct lb_guarded map;    /* where those are mapped; size 0 where somebody else sees to that by now */
    struct lb_layout *layout; /* NULL: it is not plain in that respect, or for another machine */
};

struct lb_target { /* the machine that files are read for */
    uint16_t machine;
    uint32_t largest_page; /* in bytes, not 0 */
};

/* Opens the regular file at `path`; the descriptor and its status, or -1 and why not. */
int lb_file_open(const char *path, struct lb_identity *identity, enum lb_outcome *outcome);

/* Reads the summary of the open file of `reading->identity`; what is not set yet is zero.  `room` is to read into: most of
 * a summary is empty. */
void lb_reading_summarize(struct lb_reading *reading, int fd, struct lb_summary *room);

/* Maps the file that was found to be plain, and reads its layout where it is for `target`; without memory `data` stays
 * NULL. */
void lb_reading_map(struct lb_reading *reading, int fd, const struct lb_target *target);

/* Has the pages of those tables in memory that binding looks into: link editors put them side by side.  The mapping may be
 * somebody else's by now, and gone: then nothing is read, or pages of another one that are not needed. */
void lb_reading_populate(const struct lb_reading *reading);

void lb_reading_release(struct lb_reading *reading);

#endif
