/* Work in two halves, one of them in a thread of its own where the machine has a processor for it. */
#ifndef LATEBIND_PARALLEL_H
#define LATEBIND_PARALLEL_H

#include <pthread.h>
#include <stdbool.h>

/* Calls work(data, 0) and work(data, 1), at once where possible, and returns true when both have returned.  work(data, 1)
 * calls nothing that takes a lock or belongs to somebody else: it may run in a thread that no one knows of.
 * False where work(data, 0) has forked and this is the child, and the other thread, which is not in it, was not done. */
bool lb_in_halves(void (*work)(void *data, int half), void *data);

/* Whether there is a processor for one more thread of such work. */
bool lb_second_processor(void);

/* Starts a thread that the process does not know of: its signals are for others, but for those of the thread's own
 * faults, since a file that is read may become shorter (shrunk.h).  False where none can be had. */
bool lb_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
