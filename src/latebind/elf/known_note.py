"""What the notes of well-known owners say: the GNU ABI tag, systemd's dlopen and package notes, our plugin notes.

A note is written by whoever likes to; one that does not read as its owner defines it is a `MalformedElf` for those
who ask for its meaning, and stays readable as bytes for all others.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.elf.note import NT_FDO_DLOPEN

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource
    from latebind.elf.note import Note

NT_GNU_ABI_TAG, NT_GNU_HWCAP, NT_GNU_BUILD_ID, NT_GNU_GOLD_VERSION, NT_GNU_PROPERTY_TYPE_0 = 1, 2, 3, 4, 5
NT_FDO_PACKAGE = 0xCAFE1A7E  # uapi-group.org: "package metadata"

_SYSTEMS: Final = {0: "Linux", 1: "Hurd", 2: "Solaris", 3: "kFreeBSD", 4: "kNetBSD", 5: "Syllable", 6: "NaCl"}
_TYPE_NAMES: Final = {
    ("GNU", 1): "ABI_TAG",
    ("GNU", 2): "HWCAP",
    ("GNU", 3): "BUILD_ID",
    ("GNU", 4): "GOLD_VERSION",
    ("GNU", 5): "PROPERTY_TYPE_0",
    ("FDO", NT_FDO_DLOPEN): "DLOPEN",
    ("FDO", NT_FDO_PACKAGE): "PACKAGE",
    ("latebind", 1): "PLUGIN",
    ("latebind", 2): "PROVIDES",
    ("latebind", 3): "REQUIRES",
    ("Go", 4): "BUILDID",
    ("stapsdt", 3): "PROBE",
    ("Android", 1): "IDENT",
    ("Android", 3): "KUSER",
    ("Android", 4): "MEMTAG",
    ("NetBSD", 1): "IDENT",
    ("FreeBSD", 1): "ABI_TAG",
    ("OpenBSD", 1): "IDENT",
    ("CORE", 1): "PRSTATUS",
    ("CORE", 2): "FPREGSET",
    ("CORE", 3): "PRPSINFO",
    ("CORE", 6): "AUXV",
    ("CORE", 0x46494C45): "FILE",
    ("CORE", 0x53494749): "SIGINFO",
    ("LINUX", 0x200): "386_TLS",
    ("LINUX", 0x202): "X86_XSTATE",
    ("LINUX", 0x400): "ARM_VFP",
    ("LINUX", 0x401): "ARM_TLS",
    ("LINUX", 0x404): "ARM_SYSTEM_CALL",
    ("LINUX", 0x405): "ARM_SVE",
    ("LINUX", 0x406): "ARM_PAC_MASK",
}


@dataclass(frozen=True, slots=True)
class AbiTag:
    """The oldest kernel that the file runs on: `system` and its `version`."""

    system: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.system} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class OptionalDependency:
    """Libraries that the program may open at run time (.note.dlopen): the first of `sonames` that exists is taken."""

    sonames: tuple[str, ...]
    feature: str = ""
    description: str = ""
    priority: str = "recommended"
    """``"required"``, ``"recommended"`` or ``"suggested"``."""


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One note of a latebind plugin: its `kind` (PLUGIN, PROVIDES, REQUIRES) and its strings."""

    kind: str
    strings: tuple[str, ...]


def note_type_name(note: Note) -> str:
    """``"BUILD_ID"`` and so on; the number where owner and type are not known."""
    return _TYPE_NAMES.get((note.owner, note.type), f"{note.type:#x}")


def read_abi_tag(source: ByteSource, note: Note) -> AbiTag:
    """The meaning of a GNU ABI_TAG note."""
    if len(note.desc) < 16:
        raise source.malformed(f"the GNU ABI tag has {len(note.desc)} bytes instead of 16")
    system, *version = struct.unpack_from(source.prefix + "4I", note.desc)
    return AbiTag(_SYSTEMS.get(system, f"system {system}"), (version[0], version[1], version[2]))


def read_dlopen(source: ByteSource, note: Note) -> tuple[OptionalDependency, ...]:
    """The optional dependencies that one .note.dlopen note lists, in its order of preference."""
    found = []
    document = _json(source, note, "dlopen note")
    for entry in document if isinstance(document, list) else [{}]:
        sonames = entry.get("soname") if isinstance(entry, dict) else None
        if (
            not isinstance(entry, dict)
            or not isinstance(sonames, list)
            or not all(isinstance(name, str) for name in sonames)
        ):
            raise source.malformed("its dlopen note is not a list of objects that each list their sonames")
        texts = {key: entry[key] for key in ("feature", "description", "priority") if isinstance(entry.get(key), str)}
        found.append(OptionalDependency(tuple(sonames), **texts))
    return tuple(found)


def read_package(source: ByteSource, note: Note) -> dict[str, Any]:
    """The package that the file belongs to, as the distribution's build wrote it."""
    document = _json(source, note, "package note")
    if not isinstance(document, dict):
        raise source.malformed("its package note is not a JSON object")
    return document


def _json(source: ByteSource, note: Note, what: str) -> Any:
    try:
        return json.loads(note.desc.rstrip(b"\0").decode("utf-8"))
    except (ValueError, RecursionError) as e:  # ValueError: also bad UTF-8 and numbers of absurd length
        raise source.malformed(f"its {what} is not JSON: {e}") from e


def read_plugin(source: ByteSource, note: Note) -> PluginRecord:
    """The strings of one of latebind's own notes; `latebind.contracts` checks what they say."""
    try:
        text = note.desc.decode("ascii")
    except UnicodeDecodeError as e:
        raise source.malformed("its latebind note is not plain text") from e
    return PluginRecord(note_type_name(note), tuple(text.rstrip("\0").split("\0")))


def describe(source: ByteSource, note: Note) -> str:
    """One line for people; the bytes in hexadecimal digits where nobody here knows better."""
    key = (note.owner, note.type)
    if key == ("GNU", NT_GNU_ABI_TAG):
        return str(read_abi_tag(source, note))
    if key == ("GNU", NT_GNU_GOLD_VERSION) or note.owner in {"Go", "FDO", "latebind"}:
        text = note.desc.rstrip(b"\0").replace(b"\0", b" ")
        return text.decode("utf-8", "backslashreplace")
    if key == ("GNU", NT_GNU_PROPERTY_TYPE_0):
        from latebind.elf.gnu_property import read_properties

        return ", ".join(map(str, read_properties(source, note)))
    if key == ("stapsdt", 3):
        return _probe(source, note)
    if key == ("Android", 1) and len(note.desc) >= 4:
        return f"API level {struct.unpack_from(source.prefix + 'I', note.desc)[0]}"
    return note.desc.hex(" ", -4) if len(note.desc) <= 64 else f"{len(note.desc)} bytes"


def _probe(source: ByteSource, note: Note) -> str:
    """A systemtap probe: three addresses, then provider, name and arguments, each ending in a zero byte."""
    texts = note.desc[3 * source.word :].split(b"\0")
    if len(texts) < 3:
        raise source.malformed("a systemtap note without provider, name and arguments")
    provider, name, arguments = (text.decode("utf-8", "backslashreplace") for text in texts[:3])
    address = int.from_bytes(note.desc[: source.word], "little" if source.little else "big")
    return f"{provider}:{name} at {address:#x} {arguments}".rstrip()
