/* Summaries of many files, read ahead of time by a thread of their own: reading is nearly all system calls, which pass
 * while another core does the rest. */
#ifndef LATEBIND_AHEAD_H
#define LATEBIND_AHEAD_H

#include "reading.h"

struct lb_ahead;
struct lb_ahead_file; /* what is found under one path */

enum { LB_AHEAD_FOLDERS = 4 };

/* Starts to read the files at `paths`, in this order; NULL where memory is short.  With `target` not NULL those files are
 * going to be loaded: when all are read they are mapped, and at last the pages that binding looks into are had in memory. */
struct lb_ahead *lb_ahead_start(const char *const *paths, size_t count, const struct lb_target *target);

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

/* What these files are going to be loaded for, or NULL. */
const struct lb_target *lb_ahead_target(const struct lb_ahead *ahead);

/* As lb_ahead_take, but waits for moments only, as long as the thread takes where it has a processor: NULL then, and the
 * file is better read once more. */
struct lb_reading *lb_ahead_try(struct lb_ahead *ahead, struct lb_ahead_file *file);

/* The same, of a file that was taken, with its bytes and its layout where it has been mapped: not where it is not plain,
 * without a target, or where too many are open at once. */
struct lb_reading *lb_ahead_map(struct lb_ahead *ahead, struct lb_ahead_file *file);

/* Ends the thread; what it has not read is read when it is asked for. */
void lb_ahead_stop(struct lb_ahead *ahead);

/* The same, and frees everything; nothing in the child of a fork, where there is no such thread, and what it was at stays as
 * it was. */
void lb_ahead_end(struct lb_ahead *ahead);

#endif
