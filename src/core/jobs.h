/* Jobs of binding, by two threads.
 *
 * A job is one object's references and the scope that they are looked for in.  It is prepared by one thread, which reads
 * the relocation tables, and from then on consists of blocks of rows that either thread can bind: one large library with
 * many small ones around it is as quickly done as many of the same size. */
#ifndef LATEBIND_JOBS_H
#define LATEBIND_JOBS_H

#include "bindings.h"

enum lb_failure {
    LB_FAILED_NOT,
    LB_FAILED_MEMORY,
    LB_FAILED_TABLE,  /* a relocation table or a symbol index in it lies outside the file */
    LB_FAILED_SYMBOL, /* `bad_symbol` does */
    LB_FAILED_TYPES,  /* more than 64 relocation types */
    LB_FAILED_END,    /* its budget is spent */
};

struct lb_job {
    struct lb_request request;
    const struct lb_relocation_table *tables;
    const struct lb_reference *others; /* references from elsewhere */
    uint32_t table_count, other_count;
    uint32_t relative; /* the machine's RELATIVE type */

    /* What is made of it: either what the references are bound to, or why not. */
    struct lb_bound_list bound;
    enum lb_failure failure;
    uint32_t bad_symbol;

    /* How far it is. */
    uint64_t most;       /* steps along hash chains: an honest file needs a small part of it */
    uint64_t spent;
    uint32_t next_block; /* the first that nobody has taken */
    uint32_t bad_row;    /* the least whose symbol is not in the file; UINT32_MAX for none */
    uint32_t state;      /* enum progress of jobs.c */
};

/* Does them; reads what they point to and writes to them alone, and so needs no lock. */
void lb_jobs_do(struct lb_job *jobs, uint32_t count);

#endif
