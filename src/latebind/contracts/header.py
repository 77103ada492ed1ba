"""A contract as a C header for the author of a plugin: self-contained, C99, and C++17 as well.

The header holds the preamble `latebind.h` under its own include guard, so the headers of several contracts can be
included together; then the contract's types and one declaration a function, with their documentation. Handles that
the plugin may answer come along, each under a guard of its own.
"""

from __future__ import annotations

import textwrap
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from latebind.contracts.cdecl import comment, definitions, prototype
from latebind.contracts.layout import layout_digest, method_table
from latebind.contracts.types import IteratorOf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts.model import Contract, Function, Method

_WIDTH = 110


@cache
def preamble() -> str:
    """The text of `latebind.h`."""
    return files("latebind.contracts").joinpath("latebind.h").read_text("utf-8")


def header(contract: Contract) -> str:
    """The C header of a contract."""
    guard = f"{contract.prefix.upper()}_H"
    title = f"{contract.id} {contract.version}: made by `latebind contract header`; change the contract instead."
    return "\n".join(
        [
            comment(f"{title}\n\n{contract.doc}".strip()),
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            preamble().rstrip(),
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            "/* For LATEBIND_PROVIDES and LATEBIND_REQUIRES: id, version, layout digest, signatures. */",
            *_note_macro(contract),
            "",
            *(line for handle in reversed(contract.handles()) for line in _handle(handle)),
            *_block(contract, handle=False),
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
    )


def declaration(contract: Contract, method: Method) -> str:
    """The C declaration of a method, without its semicolon: what an author copies to begin with."""
    return prototype(contract.function(method))


def _note_macro(contract: Contract) -> Iterator[str]:
    yield f"#define LATEBIND_CONTRACT_{contract.prefix} \\"
    yield rf'    "{contract.id}\0" "{contract.version}\0" "{layout_digest(contract)}\0" \\'[:-1]
    table = textwrap.wrap(method_table(contract), _WIDTH - 8, break_long_words=False, break_on_hyphens=False) or [""]
    pieces = [*(f'    "{line} " \\' for line in table[:-1]), f'    "{table[-1]}"']
    yield from pieces


def _handle(contract: Contract) -> Iterator[str]:
    guard = f"{contract.prefix.upper()}_HANDLE_H"
    yield f"#ifdef {contract.prefix.upper()}_H"
    yield f"#error {contract.id} is provided as a handle here; the header of {contract.id} itself declares it otherwise"
    yield "#endif"
    yield f"#ifndef {guard}"
    yield f"#define {guard}"
    yield comment(f"A handle: {contract.id} {contract.version}. The structure is yours.\n\n{contract.doc}".strip())
    yield f"typedef struct {contract.prefix} {contract.prefix};"
    yield ""
    yield from _block(contract, handle=True)
    yield "#endif"
    yield ""


def _block(contract: Contract, *, handle: bool) -> Iterator[str]:
    """Types, then functions, each followed by an empty line."""
    for text in definitions(contract):
        yield text
        yield ""
    for function in contract.own_functions(handle=handle):
        if isinstance(function.result, IteratorOf):
            name = f"{function.symbol}_iterator"
            yield f"typedef struct {name} {name}; /* the structure is yours */"
        yield _declaration(function)


def _declaration(function: Function) -> str:
    documented = comment(function.doc) + "\n" if function.doc else ""
    return f"{documented}LB_EXPORT {prototype(function)};\n"
