"""A contract as a C header for the author of a plugin: self-contained, C99, and C++17 as well.

The header holds the preamble `latebind.h` under its own include guard, so the headers of several contracts can be
included together, and one function declaration a method with its documentation.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from latebind.contracts.layout import layout_digest, method_table
from latebind.contracts.types import Nothing

if TYPE_CHECKING:
    from latebind.contracts.model import Contract, Method

_WIDTH = 110
# Words that a C or C++ compiler does not take as a parameter's name, and the two names that we give ourselves.
_TAKEN = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict
    return short signed sizeof static static_assert static_cast struct switch template this thread_local throw true
    try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq concept
    linux unix errno NULL EOF ctx result""".split()
)


@cache
def preamble() -> str:
    """The text of `latebind.h`."""
    return files("latebind.contracts").joinpath("latebind.h").read_text("utf-8")


def header(contract: Contract) -> str:
    """The C header of a contract."""
    guard = f"{contract.prefix.upper()}_H"
    note = rf'"{contract.id}\0" "{contract.version}\0" "{layout_digest(contract)}\0"'
    title = f"{contract.id} {contract.version}: made by `latebind contract header`; change the contract instead."
    return "\n".join(
        [
            _comment(f"{title}\n\n{contract.doc}".strip(), ""),
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
            f"#define LATEBIND_CONTRACT_{contract.prefix} \\",
            f"    {note} \\",
            f'    "{method_table(contract)}"',
            "",
            *(_declaration(contract, method) for method in contract.methods),
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
    parameters = ["lb_context *ctx"]
    names: set[str] = set()
    for parameter in method.parameters:
        name = _c_name(parameter.name)
        while name in names:
            name += "_"
        names.add(name)
        parameters.append(f"{parameter.kind.c} {name}")
    if not isinstance(method.result, Nothing):
        parameters.append(f"{method.result.c} *result")
    return f"lb_status {contract.symbol(method)}({', '.join(parameters)})"


def _declaration(contract: Contract, method: Method) -> str:
    comment = _comment(method.doc, "") + "\n" if method.doc else ""
    return f"{comment}LB_EXPORT {declaration(contract, method)};\n"


def _c_name(name: str) -> str:
    """A parameter's name in C. A name that C or C++ reserves gets an underscore behind; names are not ABI."""
    if not name.isascii():
        name = "".join(c if c.isascii() else f"u{ord(c):x}" for c in name)
    if name.startswith("_") or "__" in name:
        name = "p" + re.sub("__+", "_", name)
    return name + "_" if name in _TAKEN else name


def _comment(text: str, indent: str) -> str:
    """A block comment that nothing in `text` can end, continue or disguise.

    Compilers warn of `/*` within a comment, of trigraphs that splice lines, and of bidirectional controls; control
    characters end the line for some editors.
    """
    clean = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", " ", text)
    clean = clean.encode("utf-8", "replace").decode("utf-8")
    clean = clean.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip()
    clean = re.sub(r"\\$", "\\\\.", clean, flags=re.MULTILINE)
    lines = clean.split("\n")
    body = f"\n{indent} * ".join(line.rstrip() for line in lines)
    body = "\n".join(line.rstrip() for line in body.split("\n"))
    return f"{indent}/* {body} */" if len(lines) == 1 else f"{indent}/* {body}\n{indent} */"
