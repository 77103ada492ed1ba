"""Stubs: for every kind of type they compile without a warning, and values are written as the source of themselves."""

from __future__ import annotations

import enum
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from latebind.contracts import Contract, Method, Version, cxx_header, header, rust_module
from latebind.contracts.annotation import kind_of
from latebind.contracts.pystubs import literal
from latebind.contracts.stubs import ClassNames, c_stubs, cxx_stubs, folded, packed, rust_stubs
from latebind.contracts.types import INT64, HandleTo, IteratorOf, Nothing, OptionalOf
from support import kinds, needs
from support.kinds import ECHO, KINDS, label, values

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = Contract("test.items", Version(1, 0, 0), tuple(Method(f"m{i}", (), IteratorOf(k)) for i, k in enumerate(KINDS)))
"""Answers an iterator of every kind."""
WHOLE = Contract("test.whole", Version(1, 0, 0), (*ECHO.methods, Method("open", (), HandleTo(ITEMS))))


def compile_quietly(folder: Path, name: str, text: str, command: list[str]) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    run = subprocess.run([*command, name], cwd=folder, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_stubs_in_c_compile_for_every_kind(tmp_path: Path) -> None:
    (tmp_path / "test_whole.h").write_text(header(WHOLE))
    text = f'#include "test_whole.h"\n#include <stdlib.h>\n{c_stubs([WHOLE])}\n'
    command = [needs.program("cc", "gcc libc6-dev"), "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"]
    compile_quietly(tmp_path, "stubs.c", text, command)


@pytest.mark.slow
def test_stubs_in_cxx_compile_for_every_kind(tmp_path: Path) -> None:
    (tmp_path / "test_whole.h").write_text(header(WHOLE))
    (tmp_path / "test_whole.hpp").write_text(cxx_header(WHOLE))
    classes, methods = cxx_stubs([WHOLE])
    text = (
        f'#include "test_whole.hpp"\nnamespace {{\nusing latebind::Context;\n{classes}'
        f"class Implementation : public test::whole::Plugin {{\n{methods}\n}};\n}}\n"
        "test::whole::Plugin *made() { return new Implementation; }\n"
        "test::whole::Plugin *made();\n"
    )
    command = [needs.program("g++", "g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-c"]
    compile_quietly(tmp_path, "stubs.cpp", text, command)


@pytest.mark.slow
def test_stubs_in_rust_compile_for_every_kind(tmp_path: Path) -> None:
    (tmp_path / "bindings.rs").write_text(rust_module([WHOLE]), encoding="utf-8")
    text = f"""mod bindings;
use bindings::latebind::{{lb_str, Context, Items, Result, State}};
use bindings::{{test_items, test_whole}};
pub struct Plugin;
impl State for Plugin {{
    const ID: &'static str = "test.whole";
    const VERSION: &'static str = "1.0.0";
    fn new(_: &mut Context, _config: &str) -> Result<Self> {{
        Ok(Plugin)
    }}
}}
{rust_stubs([WHOLE])}
"""
    command = [needs.working("rustc", "rustc"), "--edition", "2021", "--crate-type", "cdylib", "-D", "warnings"]
    compile_quietly(tmp_path, "lib.rs", text, command)


@pytest.mark.parametrize("kind", KINDS, ids=label)
def test_a_value_is_written_as_the_source_of_itself(kind: Any) -> None:
    @settings(max_examples=20)
    @given(values(kind))
    def holds(value: object) -> None:
        source = literal(kind, value, lambda cls: cls.__name__)
        assert eval(source, vars(kinds).copy()) == value  # noqa: S307 - our own source

    holds()


def test_what_python_has_no_literal_for_is_written_too() -> None:
    written = [literal(kind_of(float), value, str) for value in (float("inf"), float("-inf"), float("nan"))]
    assert written == ['float("inf")', 'float("-inf")', 'float("nan")']
    assert literal(OptionalOf(INT64), None, str) == "None"


def test_a_text_that_is_an_enumerations_member_is_a_text() -> None:
    class Word(enum.StrEnum):
        FIRST = "first"

    assert literal(kind_of(str), Word.FIRST, str) == '"first"'


def test_class_names_are_no_two_alike() -> None:
    names = ClassNames(["CounterHandle"])
    counter = Contract("test.counter", Version(1, 0, 0), (), "Counter")
    assert [names.handle(counter), names.handle(counter)] == ["CounterHandle2", "CounterHandle3"]


def test_long_heads_are_folded() -> None:
    parameters = [f"parameter_{i}: int" for i in range(8)]
    assert max(map(len, packed("void function(", parameters, ")").split("\n"))) <= 100
    assert folded("    def f(", parameters, "):").split("\n")[:2] == ["    def f(", "        parameter_0: int,"]
    assert folded("    def f(", parameters[:2], "):") == "    def f(parameter_0: int, parameter_1: int):"


def test_only_what_closes_a_handle_of_rust_ends_it() -> None:
    handle = Contract("test.handle", Version(1, 0, 0), (Method("disclose", (), Nothing()),))
    opener = Contract("test.opener", Version(1, 0, 0), (Method("open", (), HandleTo(handle)),))
    text = rust_module([opener])
    assert "Handle::disclose(" in text
    assert text.count("drop(Box::from_raw(this") == 1
