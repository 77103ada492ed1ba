"""One table of symbols for all inputs: who defines what, which members of archives are needed, what stays undefined.

The rules are the gABI's ("Symbol Table") and the traditional linker's: a definition beats a COMMON symbol beats a weak
definition beats a reference; two definitions are an error; a member of an archive is taken when it defines what
something refers to; weak references take no member.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latebind.elf.symbol import (
    SHN_ABS,
    SHN_COMMON,
    SHN_UNDEF,
    STB_GLOBAL,
    STB_GNU_UNIQUE,
    STB_LOCAL,
    STB_WEAK,
    STT_COMMON,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_OBJECT,
    STT_SECTION,
    STT_TLS,
    STV_DEFAULT,
    STV_PROTECTED,
    Symbol,
)
from latebind.errors import UnresolvedSymbol, Unsupported
from latebind.linkplan.static.relocatable import SHF_TLS, Relocatable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from latebind.elf import Elf
    from latebind.linkplan.static.layout import Chunk
    from latebind.linkplan.static.machine import Target
    from latebind.linkplan.static.members import Members


@dataclass(eq=False, slots=True)
class LinkSymbol:
    """A symbol while it is linked. `value` is an offset in `chunk`, or an address where it is absolute.

    `file` is the object that defines it, or the first that refers to it. `version` and `library` say where an undefined
    one will be found.
    """

    name: str
    binding: int = STB_GLOBAL
    type: int = STT_NOTYPE
    visibility: int = STV_DEFAULT
    size: int = 0
    file: Relocatable | None = None
    defined: bool = False
    absolute: bool = False
    common: bool = False
    discarded: bool = False
    value: int = 0
    section: int = 0
    chunk: Chunk | None = None
    wanted: bool = False
    """Whether something refers to it that is not weak."""
    version: str | None = None
    library: str | None = None
    index: int = 0
    """Its place in the dynamic symbol table; 0: none."""

    @property
    def owner(self) -> str:
        """What errors call the object that defines it or refers to it."""
        return self.file.name if self.file is not None else "the linker"

    @property
    def is_ifunc(self) -> bool:
        """Whether its address is what a resolver returns."""
        return self.defined and self.type == STT_GNU_IFUNC

    @property
    def is_thread_local(self) -> bool:
        """Whether every thread has its own."""
        return self.type == STT_TLS

    @property
    def exported(self) -> bool:
        """Whether other objects can bind to it."""
        return self.defined and self.binding != STB_LOCAL and self.visibility in (STV_DEFAULT, STV_PROTECTED)

    @property
    def dynamic(self) -> bool:
        """Whether the dynamic linker decides what it is: undefined here, or one for the whole namespace."""
        return not self.defined or (self.binding == STB_GNU_UNIQUE and self.exported)

    @property
    def address(self) -> int:
        """Its virtual address once the chunks are laid out."""
        return self.value if self.chunk is None else self.chunk.address + self.value


@dataclass(eq=False, slots=True)
class Input:
    """An object that takes part: its symbols by index, and the sections that were discarded."""

    file: Relocatable
    symbols: list[LinkSymbol]
    discarded: frozenset[int]


@dataclass
class SymbolTable:
    """All global symbols, and the objects that were taken in."""

    names: dict[str, LinkSymbol] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    _groups: set[str] = field(default_factory=set)
    _members: set[tuple[str, int]] = field(default_factory=set)

    def get(self, name: str) -> LinkSymbol:
        """The global symbol `name`, made undefined where it is new."""
        known = self.names.get(name)
        if known is None:
            known = self.names[name] = LinkSymbol(name, binding=STB_WEAK)
        return known

    @property
    def target(self) -> Target:
        """The machine of the inputs, which are there."""
        return self.inputs[0].file.target

    def add(self, elf: Elf) -> None:
        """Take an object in: its definitions and references."""
        file = Relocatable(elf)
        if self.inputs and file.target is not self.target:
            raise Unsupported(file.name, f"is for {elf.header.machine_name}, {self.inputs[0].file.name} is not")
        discarded: set[int] = set()
        for group in file.groups:
            if group.is_comdat and group.signature in self._groups:
                discarded.update(group.sections)
            elif group.is_comdat:
                self._groups.add(group.signature)
        symbols = [self._local(file, s, discarded) if s.binding == STB_LOCAL else self._global(file, s, discarded)
                   for s in file.symbols]  # fmt: skip
        self.inputs.append(Input(file, symbols, frozenset(discarded)))

    @staticmethod
    def _local(file: Relocatable, s: Symbol, discarded: set[int]) -> LinkSymbol:
        name, kind = s.name, s.type
        if kind == STT_SECTION and s.section < len(file.sections):
            section = file.sections[s.section]
            name, kind = section.name, STT_TLS if section.flags & SHF_TLS else kind
        return LinkSymbol(
            name, STB_LOCAL, kind, size=s.size, file=file, defined=s.section != SHN_UNDEF,
            absolute=s.section == SHN_ABS, discarded=s.section in discarded, value=s.value, section=s.section,
        )  # fmt: skip

    def _global(self, file: Relocatable, s: Symbol, discarded: set[int]) -> LinkSymbol:
        known = self.get(s.name)
        if s.visibility != STV_DEFAULT:  # the most constraining one wins: internal 1, hidden 2, protected 3
            known.visibility = min(s.visibility, known.visibility or s.visibility)
        if s.section == SHN_UNDEF or s.section in discarded:
            known.wanted |= s.binding != STB_WEAK
            if not known.defined:
                known.binding = STB_GLOBAL if known.wanted else STB_WEAK
                known.type = known.type or s.type
                known.file = known.file or file
        elif s.section == SHN_COMMON:
            _merge_common(known, s, file)
        else:
            _define(known, s, file)
        return known

    def take_members(self, archives: Sequence[Members]) -> None:
        """Take in the members that define what is referred to, until nothing changes, whatever the archives' order."""
        changed = True
        while changed:
            changed = False
            for archive in archives:
                for name in [n for n, s in self.names.items() if s.wanted and not s.defined]:
                    member = archive.definers.get(name)
                    if member is None or self.names[name].defined or (archive.path, member.header) in self._members:
                        continue
                    self._members.add((archive.path, member.header))
                    self.add(archive.elf(member))
                    changed = True

    def want(self, names: Iterable[str]) -> None:
        """Refer to `names`, as the entry points of the result."""
        for name in names:
            symbol = self.get(name)
            symbol.wanted = True
            if not symbol.defined:
                symbol.binding = STB_GLOBAL

    def check_wanted(self, names: Iterable[str], where: str) -> None:
        """Raise `UnresolvedSymbol` for an entry point that no input defines."""
        for name in names:
            if not self.names[name].defined:
                raise UnresolvedSymbol(name, None, where)

    @property
    def undefined(self) -> list[LinkSymbol]:
        """What no input defines."""
        return [s for s in self.names.values() if not s.defined]


def _merge_common(known: LinkSymbol, s: Symbol, file: Relocatable) -> None:
    """A tentative definition (C's `int x;` with -fcommon): the largest one counts. Its value is its alignment."""
    if known.defined and not known.common and known.binding != STB_WEAK:
        return
    if known.common:
        known.size = max(known.size, s.size)
        known.value = max(known.value, s.value)
        return
    known.binding, known.type, known.file = STB_GLOBAL, STT_OBJECT, file
    known.size, known.value, known.section = s.size, s.value, SHN_COMMON
    known.defined = known.common = True


def _define(known: LinkSymbol, s: Symbol, file: Relocatable) -> None:
    if known.defined and not known.common:
        if s.binding == STB_WEAK or (s.binding == known.binding == STB_GNU_UNIQUE):
            return
        if known.binding != STB_WEAK:
            raise Unsupported(
                file.name, f"defines {s.name}, which {known.owner} defines too", "make one of them static or weak"
            )
    if known.common and s.binding == STB_WEAK:
        return
    known.binding, known.size, known.file = s.binding, s.size, file
    known.type = STT_OBJECT if s.type == STT_COMMON else s.type
    known.value, known.section, known.absolute = s.value, s.section, s.section == SHN_ABS
    known.defined, known.common = True, False
