/* Summaries of many files, read ahead of time by a thread of their own: reading is nearly all system calls, which pass
 * while another core does the rest. */
#ifndef LATEBIND_AHEAD_H
#define LATEBIND_AHEAD_H

#include "summary.h"

#include <sys/stat.h>

enum lb_outcome { LB_FILE_PLAIN, LB_FILE_ABSENT, LB_FILE_ODD };

struct lb_identity {
    uint64_t device, inode, size;
    int64_t time; /* of the last change of its content, in nanoseconds */
};

struct lb_reading { /* one file, read */
    enum lb_outcome outcome; /* the rest means something for a plain one only */
    struct lb_identity identity;
    struct lb_summary *summary; /* a block that ends behind the names needed and a copy of the text */
    const char *text;           /* that copy */
};

/* Opens the regular file at `path`; the descriptor and its status, or -1 and why not. */
int lb_file_open(const char *path, struct lb_identity *identity, enum lb_outcome *outcome);

struct lb_ahead;

/* Starts to read the files at `paths`, in this order; NULL where memory is short. */
struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count);

/* The file at the index `index` below `count`: waits for the thread where it is at it, and reads itself what is still to
 * be read.  What is returned stays until the end. */
const struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, size_t index);

size_t lb_ahead_count(const struct lb_ahead *ahead);

/* Ends the thread and frees everything. */
void lb_ahead_end(struct lb_ahead *ahead);

#endif
