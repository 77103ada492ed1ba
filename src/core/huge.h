/* A large segment that is rewritten by relocation, read into huge pages instead of being mapped: a page fault and a copy for
 * each of thousands of small pages is most of what loading a large library costs.
 *
 * Its bytes are read in parts, by whichever thread has nothing else to do: clearing and filling the pages takes the time. */
#ifndef LATEBIND_HUGE_H
#define LATEBIND_HUGE_H

#include <stdbool.h>
#include <stdint.h>

#define LB_HUGE_PAGE (UINT64_C(2) << 20)

struct lb_execution;
struct lb_member;
struct lb_plan_segment;

struct lb_huge { /* of one object, while its plan is being executed */
    const struct lb_plan_segment *segment; /* NULL: there is none */
    uint64_t to, from, size; /* address, file offset, bytes: both begin a page */
    uint64_t room;           /* bytes that were mapped */
    uint32_t parts;          /* 0 until they can be read */
    uint32_t next;           /* the first that nobody reads */
    int failure;             /* 0, an errno, or LB_HUGE_CUT_OFF */
};

enum { LB_HUGE_CUT_OFF = -1 };

/* The segment of the object that is to be read so, or NULL. */
const struct lb_plan_segment *lb_huge_find(const struct lb_execution *run, const struct lb_member *member);

/* Maps anonymous memory for it, to the end of the reserved range; -1 and errno.  Its file must stay open until all is read. */
int lb_huge_begin(const struct lb_execution *run, struct lb_member *member);

/* Reads those parts of all objects that nobody has, of those that have begun. */
void lb_huge_read(struct lb_execution *run);

/* Reads what is left of the object's, by two threads where that pays; all of it has been read then. Returns its failure. */
int lb_huge_end(struct lb_member *member);

#endif
