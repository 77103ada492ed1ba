"""What worker processes must be able to import: a contract, a plugin that has its process end, and a service."""

# The annotations below are read when the contracts are defined, so this module does without `from __future__`.
import os
from typing import Any, Protocol

from latebind.contracts import contract
from latebind.plugin import Manifest


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


class Uses:
    """A service that tells by `find` for which plugin it was made, how often it was used, and in which process it is.

    With `find("left")` it tells how many of its kind are there that were not closed.
    """

    left = 0

    def __init__(self, manifest: Manifest) -> None:
        self.plugin, self.uses = manifest.id, 0
        Uses.left += 1

    def find(self, word: str) -> list[str]:
        """What is said above."""
        self.uses += 1
        return [self.plugin, str(Uses.left if word == "left" else self.uses), str(os.getpid())]

    def close(self) -> None:
        """It is used no more."""
        Uses.left -= 1


USES = """
from support.plugins import Words
class Plugin:
    def __init__(self, words: Words): self.words = words
    def square(self, number):
        for _ in range(number):
            plugin, uses, process = self.words.find("uses")
        assert plugin == "test.uses"
        return int(uses)
    def product(self, one, other): return int(self.words.find("left")[1])
    def process(self, number): return int(self.words.find("process")[2])
"""
"""A Python plugin that answers to `Squares` with what its service tells."""
