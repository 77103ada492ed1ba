"""Near misses: what someone who asked for an undefined symbol may have meant, and why it did not do.

Three kinds: the same name with another version, the same C++ function with other parameters, and names that are spelled
alike.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.demangle import demangle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.elf import Elf

_MOST_COMPARED = 4000  # difflib costs about 10 µs a pair; a library can export fifty thousand names
_LENGTH = re.compile(r"\d{1,5}")
_OPERATOR = re.compile(r"[a-z][a-zA-Z]")


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A definition that comes close: its name with version, the file that has it, and what is different."""

    symbol: str
    path: str
    why: str


def near_names(wanted: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Up to `most` of `names` that resemble `wanted`, best first."""
    letters = set(wanted.lower())
    close = []
    for name in set(names):
        if name.lower() == wanted.lower():
            return (name,)
        if abs(len(name) - len(wanted)) <= 3 and len(letters.symmetric_difference(name.lower())) <= 4:
            close.append(name)
    close.sort(key=lambda n: (n[:1] != wanted[:1], n))
    return tuple(difflib.get_close_matches(wanted, close[:_MOST_COMPARED], n=most, cutoff=0.7))


def near_misses(symbol: str, version: str | None, scope: Iterable[Elf], most: int = 3) -> tuple[NearMiss, ...]:
    """Up to `most` definitions in `scope` that come close to `symbol` (with `version`), the likeliest kind first."""
    parts = _leading_names(symbol)
    versions: list[NearMiss] = []
    parameters: list[NearMiss] = []
    spelled: dict[str, str] = {}
    for elf in scope:
        for s in elf.symbols:
            if not s.exported:
                continue
            if s.name == symbol:
                have = f"has version {s.version}" if s.version else "has no version"
                wanted = f"{version} is wanted" if version else "one without version is wanted"
                versions.append(NearMiss(s.versioned_name, elf.path, f"{have}, {wanted}"))
            elif (
                parts and s.name.startswith("_Z") and _leading_names(s.name) == parts and _same_function(symbol, s.name)
            ):
                parameters.append(NearMiss(s.versioned_name, elf.path, "is the same function with other parameters"))
            else:
                spelled.setdefault(s.name, elf.path)
    found = versions + parameters
    if not found:
        found = [NearMiss(name, spelled[name], "is spelled alike") for name in near_names(symbol, spelled, most)]
    return tuple(found[:most])


def _leading_names(mangled: str) -> tuple[str, ...]:
    """The source names that a mangled C++ name starts with: ``_ZN3foo3barEi`` → foo, bar; () for any other name.

    The code of an operator counts as one: ``_ZN1SplEi`` → S, pl.

    Overloads of one function agree in them (Itanium C++ ABI, 5.1.2 and 5.1.3), and reading them costs little.
    """
    if not mangled.startswith("_Z"):
        return ()
    at, nested = 2, mangled[2:3] == "N"
    if nested:
        at = 3
        while mangled[at : at + 1] in {"r", "V", "K", "R", "O"}:  # cv- and ref-qualifiers of a member function
            at += 1
    parts = []
    if mangled.startswith("St", at):
        parts.append("std")
        at += 2
    while (number := _LENGTH.match(mangled, at)) is not None:
        end = number.end() + int(number.group())
        if end > len(mangled):
            return ()
        parts.append(mangled[number.end() : end])
        at = end
        if not nested:
            break
    if (nested or not parts) and (operator := _OPERATOR.match(mangled, at)) is not None:
        parts.append(operator.group())
    return tuple(parts)


def _same_function(one: str, other: str) -> bool:
    """Whether two mangled names are those of functions that differ in nothing but parameters and qualifiers."""
    readable = demangle(one)
    if readable == one:
        return True  # no C++ runtime is here that could tell; the names that they start with agree
    name = function_name(readable)
    return name is not None and name == function_name(demangle(other))


def function_name(readable: str) -> str | None:
    """The name in the text of a function: ``foo::S::m(int, char) const`` → ``foo::S::m``; None for anything else."""
    end = readable.rfind(")")
    depth = 0
    for at in range(end, 0, -1):
        depth += (readable[at] == ")") - (readable[at] == "(")
        if not depth:
            return readable[:at]
    return None
