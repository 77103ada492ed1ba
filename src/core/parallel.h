/* Work in two halves, one of them in a thread of its own where the machine has a processor for it. */
#ifndef LATEBIND_PARALLEL_H
#define LATEBIND_PARALLEL_H

/* Calls work(data, 0) and work(data, 1), at once where possible, and returns when both have returned.  `work` calls
 * nothing that takes a lock or belongs to somebody else: it may run in a thread that no one knows of. */
void lb_in_halves(void (*work)(void *data, int half), void *data);

#endif
