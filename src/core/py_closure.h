/* Places for C code to call: stubs that lead to lb_callback_run, each with a closure; py_closure.c keeps those that are free. */
#ifndef LATEBIND_PY_CLOSURE_H
#define LATEBIND_PY_CLOSURE_H

#include <stdint.h>

struct lb_place; /* one stub, free or in use */

/* NULL with MemoryError. */
struct lb_place *lb_place_take(void *closure);
uint64_t lb_place_address(const struct lb_place *place);
void lb_place_give_back(struct lb_place *place);

#endif
