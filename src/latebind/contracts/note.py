"""The plugin's ELF notes: what a shared object says of itself, read without loading it.

`latebind.h` writes them (LATEBIND_PLUGIN, LATEBIND_PROVIDES, LATEBIND_REQUIRES); the two must change together. A file
is not trusted: whatever does not read as a note of ours is a `ContractError` that says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from latebind.contracts.layout import layout_digest, signatures
from latebind.contracts.model import entry_symbol
from latebind.contracts.semver import Version
from latebind.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from latebind.contracts.model import Contract

OWNER: Final = "latebind"
NOTE_PLUGIN: Final = 1
NOTE_PROVIDES: Final = 2
NOTE_REQUIRES: Final = 3


class RawNote(Protocol):
    """What `latebind.elf.Note` offers."""

    @property
    def owner(self) -> str:
        """Who wrote it."""
        ...

    @property
    def type(self) -> int:
        """The owner's number for its kind."""
        ...

    @property
    def desc(self) -> bytes:
        """Its contents."""
        ...


@dataclass(frozen=True, slots=True)
class ContractNote:
    """A contract as it was when the plugin was compiled: `methods` maps each entry (layout.py) to its hash.

    A plugin may leave out the functions of `optional` entries.
    """

    id: str
    version: Version
    digest: str
    methods: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    def symbols(self) -> dict[str, str]:
        """The C functions that the entries stand for, and each one's entry."""
        found = {entry_symbol(self.id, entry): entry for entry in self.methods}
        return {symbol: entry for symbol, entry in found.items() if symbol is not None}


@dataclass(frozen=True, slots=True)
class PluginNote:
    """Everything that a plugin's notes say; `id` is None in a file without LATEBIND_PLUGIN."""

    id: str | None = None
    version: Version | None = None
    provides: Mapping[str, ContractNote] = field(default_factory=dict)
    requires: Mapping[str, ContractNote] = field(default_factory=dict)


def read_note(notes: Iterable[RawNote], file: str) -> PluginNote:
    """The plugin's notes among all the notes of `file`; raises `ContractError` on one that is broken or doubled."""
    plugin: list[tuple[str, Version]] = []
    contracts: dict[int, dict[str, ContractNote]] = {NOTE_PROVIDES: {}, NOTE_REQUIRES: {}}
    for note in notes:
        if note.owner != OWNER:
            continue
        strings = _strings(note, file)
        if note.type == NOTE_PLUGIN and len(strings) == 2:
            plugin.append((strings[0], _version(strings[1], file)))
        elif note.type in contracts and len(strings) == 4:
            read = _contract(strings, file)
            if read.id in contracts[note.type]:
                raise ContractError(read.id, f"{file} names it twice in its notes")
            contracts[note.type][read.id] = read
        else:
            raise ContractError(file, f"its latebind note of type {note.type} with {len(strings)} strings is unknown")
    if len(plugin) > 1:
        raise ContractError(file, "it has LATEBIND_PLUGIN twice")
    plugin_id, version = plugin[0] if plugin else (None, None)
    return PluginNote(plugin_id, version, contracts[NOTE_PROVIDES], contracts[NOTE_REQUIRES])


def differences(note: ContractNote, contract: Contract) -> str | None:
    """How the compiled contract contradicts ours in the methods that both have, or None if it does not.

    With equal versions the sets of methods must be equal too.
    """
    ours = signatures(contract)
    changed = [name for name, found in note.methods.items() if ours.get(name, found) != found]
    if changed:
        return f"it was compiled with other types for {', '.join(changed)}"
    if note.version == contract.version and note.digest != layout_digest(contract):
        missing, extra = sorted(ours.keys() - note.methods.keys()), sorted(note.methods.keys() - ours.keys())
        what = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(extra)}"] * bool(extra)
        return f"it was compiled against another {contract.version}: {' and '.join(what) or 'the layout differs'}"
    return None


def _strings(note: RawNote, file: str) -> list[str]:
    """The descriptor's strings; each ends with a zero byte, and zero bytes pad the last one."""
    try:
        text = note.desc.decode("ascii")
    except UnicodeDecodeError as e:
        raise ContractError(file, "its latebind note is not plain text") from e
    return text.rstrip("\0").split("\0")


def _contract(strings: list[str], file: str) -> ContractNote:
    methods: dict[str, str] = {}
    optional = set()
    for entry in strings[3].split():
        marked, colon, found = entry.partition(":")
        name = marked.removesuffix("?")
        if not (name and colon and found) or name in methods:
            raise ContractError(strings[0], f"{file} has a broken list of methods in its note: {entry!r}", name or None)
        methods[name] = found
        if name != marked:
            optional.add(name)
    return ContractNote(strings[0], _version(strings[1], file), strings[2], methods, frozenset(optional))


def _version(text: str, file: str) -> Version:
    try:
        return Version.parse(text)
    except ValueError as e:
        raise ContractError(file, f"its latebind note holds a wrong version: {e}") from e
