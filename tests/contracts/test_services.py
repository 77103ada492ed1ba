"""A plugin calls the host: services as C functions, with every type, and with everything that can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind import NotProvided, PluginError
from latebind.contracts import (
    CallPool,
    Contract,
    Method,
    NativeMethod,
    Owner,
    Parameter,
    Version,
    declaration,
    header,
    missing_service,
    service_callbacks,
)
from latebind.contracts.cdecl import by_pointer
from latebind.contracts.types import INT64, ListOf, Nothing, Record, Text
from latebind.linker import Library, Namespace, load
from support.compiler import Compiler
from support.kinds import METHODS as ALL
from support.kinds import Mode, label, values
from support.natives import Natives

if TYPE_CHECKING:
    from collections.abc import Iterator

CHOSEN = """bool int8 int64 uint64 float32 str bytes list[int64] list[bool] list[str] Mode Place Everything list[Place]
            list[Mode] optional[int64] optional[str] optional[Place] optional[list[Place]]"""
KINDS = [ALL[name].parameters[0].kind for name in CHOSEN.split()]
METHODS = tuple(Method(f"m{i}", (Parameter("value", kind),), kind) for i, kind in enumerate(KINDS))
SERVICE = Contract(
    "host.mirror",
    Version(1, 0, 0),
    (*METHODS, Method("tell", (Parameter("text", Text(), keyword_only=True),), Nothing())),
)
PLUGIN = Contract("test.passes", Version(1, 0, 0), (*METHODS, Method("tell", (Parameter("how", INT64),), Nothing())))


def cast(method: Method) -> str:
    """The two contracts have types of their own, which are the same: pointers to one are cast to the other."""
    value = "(const void *)value" if by_pointer(method.parameters[0].kind) else "value"
    if isinstance(method.result, ListOf) and isinstance(method.result.element, Record):
        value = "*(const host_mirror_list_Place *)(const void *)&value"
    return f"{value}, (void *)result"


def source() -> str:
    """A plugin that hands everything on to the service."""
    parts = [header(SERVICE), header(PLUGIN)]
    parts += [
        f"{declaration(PLUGIN, method)} {{ return host_mirror_{method.name}(ctx, {cast(method)}); }}"
        for method in METHODS
    ]
    parts.append(r"""
    lb_status test_passes_tell(lb_context *ctx, int64_t how)
    {
        lb_str broken = {0, 5};
        lb_status status;
        if (how == 1)
            return host_mirror_tell(ctx, broken);
        if (how == 2)
            return host_mirror_m0(ctx, true, 0);
        if (how == 3)
            return host_mirror_tell(0, broken);
        status = host_mirror_tell(ctx, lb_text("hello"));
        if (how == 4 && status != LB_OK)
            return LB_OK; /* it can live without */
        return how == 5 && status != LB_OK ? lb_fail(ctx, "no log, no work") : status;
    }""")
    return "\n".join(parts)


class Mirror:
    """The service: answers what it is given, or what `answer` says."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("m"):
            raise AttributeError(name)
        return lambda value: value if self.answer is None else self.answer

    def tell(self, *, text: str) -> Any:
        self.told.append(text)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Fixture(Natives):
    """The plugin, bound to the service."""

    def __init__(self, library: Library, pool: CallPool, mirror: Mirror) -> None:
        super().__init__(Owner("test.plugin", "1.0.0"), library, PLUGIN, pool)
        self.mirror = mirror

    def call(self, name: str, *arguments: object, answer: object = None) -> Any:
        self.mirror.answer = answer
        return super().call(name, *arguments)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixture]:
    path = Compiler(tmp_path_factory.mktemp("passes")).shared(source(), flags=["-Werror"])
    pool, mirror = CallPool(), Mirror()
    callbacks = service_callbacks(SERVICE, mirror, pool)
    hooks = {symbol: c.address for symbol, c in callbacks.items()}
    with load(path, namespace=Namespace(), hooks=hooks) as library:
        yield Fixture(library, pool, mirror)
    del callbacks


@pytest.mark.parametrize("method", METHODS, ids=lambda m: label(m.result))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_value_reaches_the_service_and_comes_back(plugin: Fixture, method: Method, data: st.DataObject) -> None:
    value = data.draw(values(method.parameters[0].kind))
    assert plugin.call(method.name, value) == value


def test_keyword_only_parameters_are_passed_by_name(plugin: Fixture) -> None:
    plugin.mirror.told.clear()
    plugin.call("tell", 0)
    assert plugin.mirror.told == ["hello"]


def test_an_exception_of_the_service_passes_through_the_plugin_as_the_cause(plugin: Fixture) -> None:
    with pytest.raises(PluginError, match=r"host\.mirror\.tell: KeyError: 'gone'") as caught:
        plugin.call("tell", 0, answer=KeyError("gone"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_plugin_may_live_with_a_service_that_fails(plugin: Fixture) -> None:
    assert plugin.call("tell", 4, answer=KeyError("gone")) is None


def test_the_plugins_own_words_come_before_the_services(plugin: Fixture) -> None:
    with pytest.raises(PluginError, match="no log, no work") as caught:
        plugin.call("tell", 5, answer=KeyError("gone"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_keyboard_interrupt_in_a_service_is_not_swallowed(plugin: Fixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        plugin.call("tell", 4, answer=KeyboardInterrupt())


@pytest.mark.parametrize(
    ("name", "value", "answer", "what"),
    [
        ("m0", True, "x", "TypeError: expected bool, not str"),
        ("m1", 1, 1000, "OverflowError: 1000 is outside of int8"),
        ("m5", "x", b"x", "TypeError: expected str, not bytes"),
        ("m10", Mode.FAST, "fast", "TypeError: expected Mode, not str"),
        ("tell", 0, 3, "TypeError: expected None, not int"),
    ],
)
def test_a_wrong_answer_of_the_service_is_an_error(
    plugin: Fixture, name: str, value: object, answer: object, what: str
) -> None:
    with pytest.raises(PluginError, match=what):
        plugin.call(name, value, answer=answer)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (1, "parameter text: a null pointer with a length of 5"),
        (2, "a null pointer for the result"),
        (3, "without saying why"),
    ],
)
def test_a_wrong_argument_of_the_plugin_is_an_error(plugin: Fixture, how: int, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        plugin.call("tell", how)


def test_a_missing_optional_service_says_so(cc: Compiler) -> None:
    pool = CallPool()
    stand_in = missing_service("host_mirror_tell", pool)
    text = header(SERVICE) + header(PLUGIN) + "lb_status test_passes_tell(lb_context *ctx, int64_t how)"
    text += '{ (void)how; return host_mirror_tell(ctx, lb_text("x")); }'
    with load(cc.shared(text), namespace=Namespace(), hooks={"host_mirror_tell": stand_in.address}) as library:
        method = NativeMethod(Owner("p.q", "1.0.0"), PLUGIN, PLUGIN.methods[-1], library.symbol("test_passes_tell"))
        with pytest.raises(NotProvided, match="optional service that this host does not have"):
            method(pool.begin(), [0])
