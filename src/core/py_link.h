/* `_core.Link` for py_closure.c, whose stubs lead here too. */
#ifndef LATEBIND_PY_LINK_H
#define LATEBIND_PY_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct lb_results;

/* Without the interpreter lock. */
bool lb_is_link(const void *closure);
void lb_link_run(void *closure, const uint64_t *registers, const uint64_t *stack, struct lb_results *results);

#endif
