"""Arguments beyond the registers, in both directions: a span that does not fit goes to the stack whole, as in C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from latebind import ffi
from latebind.contracts import (
    CallPool,
    Contract,
    Method,
    Owner,
    Parameter,
    Version,
    declaration,
    header,
    service_callbacks,
)
from latebind.contracts.types import BOOL, FLOAT32, FLOAT64, INT8, INT64, UINT16, Bytes, ListOf, Text
from latebind.errors import Unsupported
from latebind.ffi.program import compile_by_member
from latebind.ffi.prototype import parse_prototype
from latebind.linker import Namespace, load
from support.natives import Natives

if TYPE_CHECKING:
    from latebind.contracts.types import DataKind
    from support.compiler import Compiler

# With the context, five integer registers are left: the second text begins at the last one, so it goes to the stack,
# and the number behind it takes that register.
CASES: dict[str, list[tuple[DataKind, Any]]] = {
    "a text that straddles": [(INT64, 1), (INT64, 2), (Text(), "ab"), (Text(), "straddles"), (INT64, -5), (INT64, 9)],
    "texts only": [(Text(), "x" * n) for n in range(9)],
    "of all classes": [
        (FLOAT64, 0.5), (BOOL, True), (FLOAT32, -2.0), (Bytes(), b"a\0b"), (INT8, -7), (ListOf(UINT16), [1, 65535]),
        (Text(), "ä"), (FLOAT64, 1e300), (ListOf(Text()), ["one", "", "three"]), (BOOL, False), (INT8, 127),
        *((FLOAT64, float(n)) for n in range(8)), (Text(), "last"),
    ],
}  # fmt: skip


def contracts(kinds: list[DataKind]) -> tuple[Contract, Contract]:
    """A plugin and a service of one method, `pass`, with these parameters."""
    method = Method("pass", tuple(Parameter(f"p{n}", kind) for n, kind in enumerate(kinds)), Text())
    return Contract("test.many", Version(1, 0, 0), (method,)), Contract("host.many", Version(1, 0, 0), (method,))


class Service:
    def __init__(self) -> None:
        self.seen: tuple[object, ...] = ()

    def __getattr__(self, name: str) -> Any:
        assert name == "pass"
        return self._pass

    def _pass(self, *arguments: object) -> str:
        self.seen = arguments
        return "answer"


@pytest.mark.parametrize("case", CASES)
def test_each_argument_arrives_in_both_directions(cc: Compiler, case: str) -> None:
    plugin, host = contracts([kind for kind, _ in CASES[case]])
    names = ", ".join(f"p{n}" for n in range(len(CASES[case])))
    body = f"{{ return host_many_pass(ctx, {names}, result); }}"
    source = f"{header(host)}{header(plugin)}{declaration(plugin, plugin.methods[0])} {body}"
    pool, service = CallPool(), Service()
    callbacks = service_callbacks(host, service, pool)
    hooks = {symbol: c.address for symbol, c in callbacks.items()}
    with load(cc.shared(source, flags=["-Werror"]), namespace=Namespace(), hooks=hooks) as library:
        natives = Natives(Owner("p.q", "1.0.0"), library, plugin, pool)
        assert natives.call("pass", *(value for _, value in CASES[case])) == "answer"
    assert list(service.seen) == [value for _, value in CASES[case]]


def test_a_result_may_lie_in_an_argument(cc: Compiler) -> None:
    plugin, _ = contracts([Text()])
    source = f"{header(plugin)}{declaration(plugin, plugin.methods[0])} {{ (void)ctx; *result = p0; return LB_OK; }}"
    with load(cc.shared(source, flags=["-Werror"]), namespace=Namespace()) as library:
        natives = Natives(Owner("p.q", "1.0.0"), library, plugin)
        for text in ("é", "\N{SNOWMAN}" * 5, "long" * 1000):
            assert natives.call("pass", text) == text


def test_members_that_share_a_word_cannot_be_passed_one_by_one() -> None:
    header_ = ffi.Header("struct pair { int a, b; };")
    shared = parse_prototype("void f(struct pair p)", header_)
    with pytest.raises(Unsupported, match="one by one"):
        compile_by_member(shared)
