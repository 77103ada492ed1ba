"""What worker processes must be able to import: a contract, and a plugin that has its process end."""

# The annotations below are read when the contracts are defined, so this module does without `from __future__`.
from typing import Any, Protocol

from latebind.contracts import contract


@contract("test.squares", version="1.0.0")
class Squares(Protocol):
    """Computes."""

    def square(self, number: int) -> int:
        """Its square; a negative number is refused, and 666 ends the process."""
        ...

    def product(self, one: int, other: int) -> int:
        """The product."""
        ...

    def process(self, number: int) -> int:
        """The id of the process."""
        ...


SOURCE = r"""
#include "test_squares.h"
#include <stdlib.h>
#include <unistd.h>
LATEBIND_PLUGIN("test.squares", "1.0.0")
LATEBIND_PROVIDES(test_squares)

lb_status test_squares_square(lb_context *ctx, int64_t number, int64_t *result)
{
    if (number < 0)
        return lb_fail(ctx, "%d is negative", (int)number);
    if (number == 666)
        _exit(3);
    *result = number * number;
    return LB_OK;
}

lb_status test_squares_product(lb_context *ctx, int64_t one, int64_t other, int64_t *result)
{
    (void)ctx;
    *result = one * other;
    return LB_OK;
}

lb_status test_squares_process(lb_context *ctx, int64_t number, int64_t *result)
{
    (void)ctx, (void)number;
    *result = getpid();
    return LB_OK;
}
"""

MANIFEST: dict[str, Any] = {"provides": [{"contract": "test.squares", "version": "1.0.0"}]}
