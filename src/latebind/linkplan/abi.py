"""Two builds of one library compared: whether what was linked with the old one can run with the new one.

What is compared is what a dynamic linker and compiled callers rely on: the soname, the exported symbols with their
versions, types and sizes and, where both builds have debug information (`declarations.py` reads it), the signatures
of the exported functions and the layouts of the types that those signatures reach.

What breaks, and why:
- a symbol, or a version of it, that is gone: old programs do not start (glibc: "symbol lookup error", "version not
  found");
- another type of symbol: calling data, or reading code; FUNC and GNU_IFUNC are both functions to a caller;
- another size of a variable: a program that is not position-independent holds a copy of the old size (COPY
  relocations; ld.so warns "has different size in shared object"), and for C++ it is the layout of a vtable;
- another soname: nobody who was linked with the old one finds it;
- other parameters, results or layouts: the machine code of callers has the old ones built in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from latebind.elf.symbol import SHN_ABS, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT, STT_TLS
from latebind.linkplan.declarations import without_qualifiers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Elf, Symbol
    from latebind.linkplan.declarations import Declarations


class Bump(StrEnum):
    """Which part of a SemVer version number has to rise (semver.org, 6 to 8)."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


class AbiKind(StrEnum):
    """What kind of change."""

    REMOVED = "removed"
    ADDED = "added"
    VERSION = "version"
    TYPE = "type"
    SIZE = "size"
    SONAME = "soname"
    MACHINE = "machine"
    SIGNATURE = "signature"
    LAYOUT = "layout"


@dataclass(frozen=True, slots=True)
class AbiChange:
    """One change: what it is about (a symbol, a type, the file), both sides in words, and whether it breaks callers."""

    kind: AbiKind
    what: str
    before: str | None
    after: str | None
    breaks: bool


@dataclass(frozen=True, slots=True)
class AbiDiff:
    """Everything that changed between two builds. `declared` says whether signatures and layouts were compared."""

    old: str
    new: str
    changes: tuple[AbiChange, ...]
    declared: bool

    @property
    def breaks(self) -> bool:
        """Whether something that runs with the old build may fail with the new one."""
        return any(c.breaks for c in self.changes)

    @property
    def bump(self) -> Bump:
        """The SemVer bump that the new build needs."""
        if self.breaks:
            return Bump.MAJOR
        return Bump.MINOR if any(c.kind is AbiKind.ADDED for c in self.changes) else Bump.PATCH


def compare_abi(old: Elf, new: Elf, declarations: tuple[Declarations, Declarations] | None = None) -> AbiDiff:
    """What changed from `old` to `new` for everyone who is linked with it; `declarations` are those of both."""
    changes = [*_files(old, new), *_exports(old, new)]
    if declarations is not None:
        changes += _declared(*declarations)
    return AbiDiff(old.path, new.path, tuple(changes), declared=declarations is not None)


def exports(elf: Elf) -> dict[tuple[str, str | None], Symbol]:
    """What `elf` exports, by name and version; without the symbols that only name a version."""
    versions = {d.name for d in elf.version_definitions}
    return {
        (s.name, s.version): s
        for s in elf.symbols
        if s.exported and s.name and not (s.section == SHN_ABS and s.name in versions)
    }


def _files(old: Elf, new: Elf) -> Iterator[AbiChange]:
    before, after = (f"{e.header.machine_name}, {e.header.bits}-bit" for e in (old, new))
    if (old.header.machine, old.header.elf_class, old.header.data) != (
        new.header.machine,
        new.header.elf_class,
        new.header.data,
    ):
        yield AbiChange(AbiKind.MACHINE, "machine", before, after, breaks=True)
    if old.soname != new.soname:
        yield AbiChange(AbiKind.SONAME, "soname", old.soname, new.soname, breaks=old.soname is not None)
    # A program that needs a version fails when it is not defined, even where nobody refers to a symbol of it.
    gone = {d.name for d in old.version_definitions if not d.base} - {d.name for d in new.version_definitions}
    for name in sorted(gone) if new.version_definitions else ():
        yield AbiChange(AbiKind.VERSION, f"version {name}", "defined", None, breaks=True)


def _exports(old: Elf, new: Elf) -> Iterator[AbiChange]:
    before, after = exports(old), exports(new)
    by_name: dict[str, list[Symbol]] = {}
    for symbol in after.values():
        by_name.setdefault(symbol.name, []).append(symbol)
    for key, was in before.items():
        now = after.get(key)
        if now is not None:
            yield from _same(was, now)
        elif was.name in by_name:
            yield _other_version(was, by_name[was.name], versioned=bool(new.version_definitions))
            yield from _same(was, by_name[was.name][0])
        else:
            yield AbiChange(AbiKind.REMOVED, was.versioned_name, was.type_name, None, breaks=True)
    # A version that came beside those that a name had is an addition; one that replaced another was reported above.
    replaced = {name for name, _ in before} - {name for name, _ in before.keys() & after.keys()}
    for key, symbol in after.items():
        if key not in before and symbol.name not in replaced:
            yield AbiChange(AbiKind.ADDED, symbol.versioned_name, None, symbol.type_name, breaks=False)


def _other_version(was: Symbol, now: list[Symbol], *, versioned: bool) -> AbiChange:
    """The name is there, its version is not.

    A reference without version takes any; one with a version takes an unversioned library's symbol (ld.so only says
    "no version information available"), but no other version.
    """
    names = ", ".join(s.version or "none" for s in now)
    return AbiChange(
        AbiKind.VERSION, was.name, was.version or "none", names, breaks=was.version is not None and versioned
    )


def _same(was: Symbol, now: Symbol) -> Iterator[AbiChange]:
    """What changed in one symbol that both builds have."""
    if _family(was.type) != _family(now.type):
        yield AbiChange(AbiKind.TYPE, was.versioned_name, was.type_name, now.type_name, breaks=True)
    elif was.type in (STT_OBJECT, STT_TLS) and was.size != now.size:
        sizes = (f"{was.size} bytes", f"{now.size} bytes")
        yield AbiChange(AbiKind.SIZE, was.versioned_name, *sizes, breaks=True)
    if was.version == now.version and was.default and not now.default:
        yield AbiChange(AbiKind.VERSION, was.name, f"default is {was.version}", "no longer the default", breaks=False)


def _family(kind: int) -> int:
    return STT_FUNC if kind == STT_GNU_IFUNC else kind


def _declared(old: Declarations, new: Declarations) -> Iterator[AbiChange]:
    """Changed signatures and layouts of what both builds declare."""
    for name, was in old.signatures.items():
        now = new.signatures.get(name)
        if now is not None and was != now:
            breaks = without_qualifiers(was) != without_qualifiers(now)
            yield AbiChange(AbiKind.SIGNATURE, name, was, now, breaks)
    for type_name, layout in old.layouts.items():
        other = new.layouts.get(type_name)
        if other is not None and layout != other:
            # A longer enumeration and a renamed member are the same to compiled code; anything that moves is not.
            yield AbiChange(
                AbiKind.LAYOUT, type_name, layout.text(other), other.text(layout), breaks=not other.extends(layout)
            )
