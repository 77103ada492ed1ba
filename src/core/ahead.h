/* Summaries of many files, read ahead of time by a thread of their own: reading is nearly all system calls, which pass
 * while another core does the rest. */
#ifndef LATEBIND_AHEAD_H
#define LATEBIND_AHEAD_H

#include "layout.h"
#include "shrunk.h"
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
    /* where whole files are asked for: */
    const uint8_t *data;      /* all its bytes */
    struct lb_guarded map;    /* where those are mapped; size 0 where somebody else sees to that by now */
    struct lb_layout *layout; /* NULL: it is not plain in that respect, or for another machine */
};

struct lb_whole { /* that whole files are asked for: mapped, and with the layout of those for `machine` */
    uint16_t machine;
    uint32_t largest_page; /* of that machine, in bytes */
};

/* Opens the regular file at `path`; the descriptor and its status, or -1 and why not. */
int lb_file_open(const char *path, struct lb_identity *identity, enum lb_outcome *outcome);

/* Reads the open regular file of `reading->identity` into `reading`, whose other fields are zero; `whole` is NULL where the
 * summary will do, and `room` to read into: most of a summary is empty. */
void lb_reading_fill(struct lb_reading *reading, int fd, const struct lb_whole *whole, struct lb_summary *room);
void lb_reading_release(struct lb_reading *reading);

struct lb_ahead;
struct lb_ahead_file; /* what is found under one path */

enum { LB_AHEAD_FOLDERS = 4 };

/* Starts to read the files at `paths`, in this order; NULL where memory is short.  With `whole` not NULL it ends by
 * having the pages of those tables in memory that binding looks into. */
struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count, const struct lb_whole *whole);

/* What the files need is likely to be in `folder`, too: it is read before the next of them.  More than LB_AHEAD_FOLDERS
 * folders are not looked into. */
void lb_ahead_look_into(struct lb_ahead *ahead, const char *folder);

/* The file at `path`, where it is one of those to be read; else NULL. */
struct lb_ahead_file *lb_ahead_find(struct lb_ahead *ahead, const char *path);

/* What was read of it, or NULL where that is still to be done.  It stays until the end; of a file that has two paths it
 * is the same. */
struct lb_reading *lb_ahead_peek(const struct lb_ahead_file *file);

/* The same, but waits for the thread where it is at it, and reads itself what is still to be read. */
struct lb_reading *lb_ahead_take(struct lb_ahead *ahead, struct lb_ahead_file *file);

/* Whether whole files are asked for; NULL if not. */
const struct lb_whole *lb_ahead_whole(const struct lb_ahead *ahead);

/* Ends the thread and frees everything. */
void lb_ahead_end(struct lb_ahead *ahead);

#endif
