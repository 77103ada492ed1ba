"""The names of symbol versions as nm and objdump write them (`_bfd_elf_get_symbol_version_string` in bfd/elf.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.elf.symbol_rows import byte_text
from latebind.elf.version import VER_FLG_BASE, VERSYM_HIDDEN, VERSYM_VERSION

if TYPE_CHECKING:
    from latebind.elf.version import VersionDefinition, VersionNeed


class Versions:
    """From a symbol's Versym entry to the version's name for one file."""

    def __init__(self, definitions: tuple[VersionDefinition, ...], needs: tuple[VersionNeed, ...]) -> None:
        self._defined = {d.index: d for d in definitions}
        self._highest = max(self._defined, default=0)
        first = self._defined.get(1)
        self._base_is_plain = first is not None and first.flags == VER_FLG_BASE
        self._needed = {n.index: byte_text(n.name) for n in needs if not n.hidden}
        self._cache: dict[int, tuple[str | None, bool]] = {}

    def of(self, entry: int) -> tuple[str | None, bool]:
        """The name for a Versym entry (``"Base"`` for the file's own, "" for none) and whether it is hidden."""
        found = self._cache.get(entry)
        if found is None:
            found = self._cache[entry] = self._look_up(entry)
        return found

    def suffix(self, name: str, entry: int, *, undefined: bool) -> str:
        """What nm writes behind a symbol's name: ``@VERSION``, ``@@VERSION`` or nothing."""
        version, hidden = self.of(entry)
        number = entry & VERSYM_VERSION
        if not version or (number == 1 and version == "Base" and self._is_base()):
            return ""
        if version == name and number <= self._highest:  # the absolute symbol that stands for the version itself
            return ""
        return f"@{version}" if hidden or undefined else f"@@{version}"

    def _is_base(self) -> bool:
        return self._highest < 1 or self._base_is_plain

    def _look_up(self, entry: int) -> tuple[str | None, bool]:
        hidden, number = bool(entry & VERSYM_HIDDEN), entry & VERSYM_VERSION
        if number == 0:
            return "", hidden
        if number == 1 and self._is_base():
            return "Base", hidden
        if number <= self._highest:
            definition = self._defined.get(number)
            return (byte_text(definition.name) if definition is not None else None), hidden
        needed = self._needed.get(number)
        return ("<corrupt>", hidden) if needed is None else (needed, True)
