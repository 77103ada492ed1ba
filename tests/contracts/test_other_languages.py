"""Values through a plugin in C++ and one in Rust, by the headers that are made for them, and back unchanged."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind.contracts import (
    Contract,
    Method,
    NativeMethod,
    Owner,
    Parameter,
    Version,
    cxx_header,
    header,
    rust_module,
)
from latebind.contracts.rust import rust_value
from latebind.contracts.types import DataKind, Enumeration, HandleTo, ListOf, Nothing, OptionalOf, Record, Scalar, Text
from latebind.linker import Namespace, load
from support import needs
from support.kinds import METHODS, values
from support.natives import Natives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from latebind.linker import Library

# One of each way in which a type is passed; the slow test takes them all.
SOME = """bool int8 float64 str bytes Mode Everything list[bool] list[uint8] list[float32] list[str] list[Mode]
          list[Place] optional[int64] optional[str] optional[bytes] optional[Place] optional[list[str]] optional[Mode]
          optional[list[Place]] optional[list[int16]]""".split()
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

CPP = r"""
template <class T> T own(const T &value) { return value; }
inline std::string own(std::string_view value) { return std::string(value); }
template <class T> std::vector<T> own(latebind::View<T> value) { return std::vector<T>(value.begin(), value.end()); }
inline std::vector<std::string> own(latebind::View<lb_str> value)
{
    std::vector<std::string> found;
    for (const lb_str &item : value)
        found.emplace_back(latebind::text(item));
    return found;
}
template <class T> std::optional<T> own(const T *value) { return value ? std::optional<T>(*value) : std::nullopt; }
template <class T> auto own(const std::optional<T> &value) -> std::optional<decltype(own(*value))>
{
    return value ? std::optional<decltype(own(*value))>(own(*value)) : std::nullopt;
}
"""


def contract_for(names: list[str]) -> Contract:
    return Contract("test.echo", Version(1, 0, 0), tuple(METHODS[name] for name in names))


def cpp_source(contract: Contract) -> str:
    """A class that implements the interface; the header's own declarations say how."""
    text = cxx_header(contract)
    lines = text[text.index("namespace test::echo") :].split("\n")
    declared = [line.strip() for line in lines if line.startswith("    virtual ") and line.endswith(" = 0;")]
    methods = [
        f"    {line.removeprefix('virtual ').removesuffix(' = 0;')} override {{ (void)ctx; return own(value); }}"
        for line in declared
    ]
    body = ["struct Echo : test::echo::Plugin {", "    Echo(latebind::Context &, std::string_view) {}", *methods, "};"]
    return "\n".join(
        ['#include "test_echo.hpp"', CPP, *body, "LATEBIND_STATE(Echo)", "LATEBIND_EXPORT_test_echo(Echo)"]
    )


def rust_expression(kind: DataKind, name: str) -> str:
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"{name}.map(|value| {rust_expression(kind.element, 'value')})"
    if isinstance(kind, Record):
        return f"*{name}"
    if isinstance(kind, Scalar | Enumeration):
        return name
    if isinstance(kind, ListOf) and isinstance(kind.element, Text):
        return f"{name}.iter().map(|text| text.as_str().to_string()).collect()"
    return f"{name}.to_string()" if isinstance(kind, Text) else f"{name}.to_vec()"


def rust_source(contract: Contract) -> str:
    lines = [
        "mod bindings;",
        "use bindings::latebind::*;",
        "use bindings::test_echo::*;",
        "pub struct Plugin;",
        "impl State for Plugin {",
        '    const ID: &\'static str = "test.echo";',
        '    const VERSION: &\'static str = "1.0.0";',
        "    fn new(_: &mut Context, _: &str) -> Result<Self> { Ok(Plugin) }",
        "}",
        "impl Provides for Plugin {",
    ]
    for method in contract.methods:
        kind = method.parameters[0].kind
        taken, answer = rust_value(kind)
        body = f"Ok({rust_expression(kind, 'value')})"
        lines.append(f"    fn {method.name}(&self, _: &mut Context, value: {taken}) -> Result<{answer}> {{ {body} }}")
    return "\n".join([*lines, "}"])


def build(folder: Path, language: str, contract: Contract) -> Path:
    output = folder / "plugin.so"
    (folder / "test_echo.h").write_text(header(contract))
    (folder / "test_echo.hpp").write_text(cxx_header(contract))
    (folder / "bindings.rs").write_text(rust_module([contract]))
    (folder / "a.cpp").write_text(cpp_source(contract))
    (folder / "lib.rs").write_text(rust_source(contract))
    if language == "rust":
        program, flags = needs.working("rustc", "rustc"), ["--edition", "2021", "--crate-type", "cdylib", "lib.rs"]
    else:
        program, flags = needs.program(language, language.rstrip("+")), [*STRICT, "-shared", "-fPIC", "a.cpp"]
    run = subprocess.run([program, *flags, "-o", str(output)], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return output


LIFE = Contract("lb.x", Version(1, 0, 0), (Method("init", (Parameter("config", Text()),), Nothing()),))


class Echo(Natives):
    def __init__(self, library: Library, contract: Contract) -> None:
        owner = Owner("test.plugin", "1.0.0")
        super().__init__(owner, library, contract)
        call = self.pool.begin()
        NativeMethod(owner, LIFE, LIFE.methods[0], library.symbol("lb_init"))(call, ["{}"])
        self.pool.state = call.state
        self.pool.end(call)

    def __call__(self, method: Method, value: object) -> Any:
        return self.call(method.name, value)


def check(echo: Echo, names: list[str], examples: int) -> None:
    for name in names:
        comes_back = settings(max_examples=examples, deadline=None, database=None)(given(st.data())(echoes(echo, name)))
        comes_back()


def echoes(echo: Echo, name: str) -> Callable[[st.DataObject], None]:
    method = METHODS[name]
    strategy = values(method.parameters[0].kind)

    def comes_back(data: st.DataObject) -> None:
        value = data.draw(strategy)
        assert echo(method, value) == value

    return comes_back


@pytest.mark.parametrize("language", ["g++", "rust"])
def test_values_of_each_kind_come_back_unchanged(tmp_path: Path, language: str) -> None:
    contract = contract_for(SOME)
    with load(build(tmp_path, language, contract), namespace=Namespace()) as library:
        check(Echo(library, contract), SOME, 8)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["g++", "clang++", "rust"])
def test_values_of_every_type_come_back_unchanged(tmp_path: Path, language: str) -> None:
    contract = contract_for(list(METHODS))
    with load(build(tmp_path, language, contract), namespace=Namespace()) as library:
        check(Echo(library, contract), list(METHODS), 30)
