"""The generated header, compiled by the machine's compilers with every warning an error; and the notes it leaves."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latebind.contracts import Contract, Method, Parameter, Version, contract_of, declaration, header, layout_digest
from latebind.contracts.note import read_note
from latebind.contracts.types import INT64, HandleTo, IteratorOf, Nothing, OptionalOf, Text
from latebind.elf import read
from support import needs
from support.kinds import KINDS
from support.plugins import Counter, Logger

if TYPE_CHECKING:
    from pathlib import Path

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
LANGUAGES = [("gcc", "-std=c99", "gcc"), ("g++", "-std=c++17", "g++")]
COMPILERS = [*LANGUAGES, ("clang", "-std=c99", "clang"), ("clang++", "-std=c++17", "clang")]

INNER = Contract("test.inner", Version(1, 0, 0), (Method("m", (), INT64),))
SESSION = Contract(
    "test.session",
    Version(0, 3, 0),
    (
        Method("put", (Parameter("value", KINDS[-1]),), IteratorOf(Text())),
        Method("inner", (), HandleTo(INNER)),
        Method("close", (), Nothing(), doc="Ends."),
    ),
)
EVERYTHING = Contract(
    "test.everything",
    Version(1, 0, 0),
    (
        *(Method(f"m{i}", (Parameter("value", kind),), kind) for i, kind in enumerate(KINDS)),
        Method("nothing", (), Nothing()),
        Method("open", (), HandleTo(SESSION), doc="Opens."),
        Method("maybe", (), OptionalOf(HandleTo(SESSION))),
        Method("all", (), IteratorOf(KINDS[-1])),
        Method("names", tuple(Parameter(n, INT64) for n in "ctx result result_ class _X a__b größe".split()), INT64),
    ),
)  # fmt: skip


def compile_text(folder: Path, source: str, *flags: str, command: str = "gcc", package: str = "gcc") -> Path:
    suffix = "cpp" if command.endswith("++") else "c"
    (folder / f"p.{suffix}").write_text(source, encoding="utf-8")
    output = folder / "p.so"
    arguments = [
        needs.program(command, package),
        "-shared",
        "-fPIC",
        *flags,
        "-o",
        str(output),
        str(folder / f"p.{suffix}"),
    ]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return output


@pytest.mark.parametrize(("command", "standard", "package"), COMPILERS)
def test_every_type_compiles_as_c99_and_as_cpp17(tmp_path: Path, command: str, standard: str, package: str) -> None:
    (tmp_path / "e.h").write_text(header(EVERYTHING), encoding="utf-8")
    source = '#include "e.h"\n#include "e.h"\nLATEBIND_PLUGIN("test.everything", "1.0.0")\n'
    source += "LATEBIND_PROVIDES(test_everything)\n"
    compile_text(tmp_path, source, standard, *STRICT, command=command, package=package)


@pytest.mark.parametrize(("command", "standard", "package"), LANGUAGES)
def test_it_is_freestanding(tmp_path: Path, command: str, standard: str, package: str) -> None:
    (tmp_path / "e.h").write_text(header(EVERYTHING), encoding="utf-8")
    compile_text(
        tmp_path, '#include "e.h"\n', standard, "-ffreestanding", "-nostdlib", *STRICT, command=command, package=package
    )


@pytest.mark.parametrize("linker", ["bfd", "gold"])
@pytest.mark.parametrize("options", [(), ("-flto", "-O2")])
@pytest.mark.parametrize(("command", "standard", "package"), LANGUAGES)
def test_the_notes_survive_the_removal_of_unused_sections(
    tmp_path: Path, command: str, standard: str, package: str, options: tuple[str, ...], linker: str
) -> None:
    for contract in (contract_of(Counter), contract_of(Logger)):
        (tmp_path / f"{contract.prefix}.h").write_text(header(contract))
    source = """#include "test_counter.h"
#include "host_logger.h"
LATEBIND_PLUGIN("test.plugin", "1.2.3-rc.1")
LATEBIND_PROVIDES(test_counter)
LATEBIND_REQUIRES(host_logger)
"""
    flags = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-s", f"-fuse-ld={linker}", *options]
    output = compile_text(tmp_path, source, standard, *STRICT, *flags, command=command, package=package)
    note = read_note(read(output).notes, "p.so")
    assert (note.id, str(note.version)) == ("test.plugin", "1.2.3-rc.1")
    provided = note.provides["test.counter"]
    assert provided.digest == layout_digest(contract_of(Counter))
    assert list(provided.methods) == ["add", "name"]
    assert str(note.requires["host.logger"].version) == "1.0.0"


def test_a_very_large_contract_compiles(tmp_path: Path) -> None:
    methods = tuple(Method(f"method_number_{i}", (), Nothing()) for i in range(400))
    contract = Contract("test.large", Version(1, 0, 0), methods)
    (tmp_path / "e.h").write_text(header(contract))
    source = '#include "e.h"\nLATEBIND_PROVIDES(test_large)\n'
    for command, standard, package in LANGUAGES:
        output = compile_text(tmp_path, source, standard, *STRICT, command=command, package=package)
        assert len(read_note(read(output).notes, "p.so").provides["test.large"].methods) == 400


def test_a_handle_cannot_be_mixed_with_the_contract_by_itself(tmp_path: Path) -> None:
    (tmp_path / "c.h").write_text(header(SESSION) + header(EVERYTHING))
    with pytest.raises(AssertionError, match="is provided as a handle here"):
        compile_text(tmp_path, '#include "c.h"\n')


def test_a_declaration_reads_as_an_author_would_write_it() -> None:
    method = contract_of(Counter).methods[0]
    text = "lb_status test_counter_add(lb_context *ctx, int64_t amount, int64_t *result)"
    assert declaration(contract_of(Counter), method) == text
    assert f"/* Add, and answer the sum. */\nLB_EXPORT {text};" in header(contract_of(Counter))


def test_the_author_is_told_of_a_wrong_definition(tmp_path: Path) -> None:
    (tmp_path / "c.h").write_text(header(contract_of(Counter)))
    source = '#include "c.h"\nlb_status test_counter_add(lb_context *c, int32_t a, int64_t *r)\n'
    source += "{ (void)c, *r = a; return LB_OK; }\n"
    with pytest.raises(AssertionError, match="conflicting types"):
        compile_text(tmp_path, source)


HOSTILE = st.lists(
    st.sampled_from(["*/", "/*", "//", "??/", "\\", "\n", "*", "/", "\r", "\t", "\u202e", "\x00", "\ud800", "ü", "a"])
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(HOSTILE.map("".join), HOSTILE.map("".join))
def test_no_documentation_can_break_out_of_its_comment(tmp_path: Path, doc: str, other: str) -> None:
    contract = Contract("a.b", Version(1, 0, 0), (Method("m", (), Nothing(), doc=doc),), doc=other)
    text = header(contract)
    assert text.isprintable() or set("\n") >= {c for c in text if not c.isprintable()}
    (tmp_path / "h.h").write_text(text, encoding="utf-8")
    check_syntax(tmp_path)


def check_syntax(folder: Path) -> None:
    for command, standard, package in LANGUAGES:
        language = "c++" if command.endswith("++") else "c"
        arguments = [
            needs.program(command, package),
            "-fsyntax-only",
            standard,
            *STRICT,
            "-x",
            language,
            "-include",
            "h.h",
            "-",
        ]
        run = subprocess.run(arguments, input="int x;\n", cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
