"""What a library's debug information says of its exports: signatures of functions, layouts of the types they reach.

DWARF is read with pyelftools, an optional dependency that is imported here and only here, when it is used. The
information may be in the file itself or in one beside it: the debug file that a build-id names below
`/usr/lib/debug`, as distributions install it, or one that the caller names.

A signature is a text in C's words, with every typedef followed to what it stands for, so that renaming a typedef is
no change. A layout is the size, and the place and type of each member.

Callers do not know every type that a library's debug information knows: a structure that they only hold a pointer to
may be opaque to them, and then its layout is the library's own affair. `headers` says which files callers include;
without them, a type that is only pointed to and that a source file (not a header) defines is taken for opaque.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import MalformedElf, Unsupported
from latebind.linkplan.copied import is_passed_by_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.elf import Elf

_DEBUG_FOLDER: Final = "/usr/lib/debug/.build-id"
_DEEPEST: Final = 60  # types within types; only a damaged file has more
_QUALIFIERS: Final = {
    "DW_TAG_const_type": "const",
    "DW_TAG_volatile_type": "volatile",
    "DW_TAG_restrict_type": "restrict",
    "DW_TAG_atomic_type": "_Atomic",
}
_POINTERS: Final = {
    "DW_TAG_pointer_type": "*",
    "DW_TAG_reference_type": "&",
    "DW_TAG_rvalue_reference_type": "&&",
    "DW_TAG_ptr_to_member_type": "::*",
}
_RECORDS: Final = {
    "DW_TAG_structure_type": "struct",
    "DW_TAG_class_type": "struct",  # to a caller's machine code they are the same
    "DW_TAG_union_type": "union",
    "DW_TAG_enumeration_type": "enum",
}


_BASIC: Final = {  # what gcc writes → what clang and people write
    "long int": "long", "long unsigned int": "unsigned long", "long long int": "long long", "short int": "short",
    "long long unsigned int": "unsigned long long", "short unsigned int": "unsigned short",
}  # fmt: skip
_SOURCES: Final = (".c", ".cc", ".cpp", ".cxx", ".c++", ".C", ".m", ".mm", ".rs", ".S")
_OWN_QUALIFIERS: Final = re.compile(r"(?: (?:const|volatile|restrict))+$")  # of a parameter: no caller's business
_QUALIFIER: Final = re.compile(r" (?:const|volatile|restrict)\b")


def without_qualifiers(text: str) -> str:
    """A type's text without `const` and its like, which machine code does not know."""
    return _QUALIFIER.sub("", text)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its place in bits from the start of the type (for an enumerator, its value), and its type."""

    name: str
    place: int
    type: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a structure, union or enumeration lies in memory. `size` is bytes.

    `align` is bytes where the source asks for an alignment, else 0; `by_reference` is said of a class of C++ that is
    passed by the address of a copy.
    """

    size: int
    members: tuple[Member, ...]
    enumeration: bool = False
    align: int = field(default=0, compare=False)
    by_reference: bool = field(default=False, compare=False)

    def extends(self, old: Layout) -> bool:
        """Whether code compiled for `old` works with this one: only names, or new enumerators, differ."""
        if self.size != old.size:
            return False
        if self.enumeration:
            return set(old.members) <= set(self.members)
        mine, theirs = ([(m.place, without_qualifiers(m.type)) for m in layout.members] for layout in (self, old))
        return mine == theirs

    def text(self, other: Layout) -> str:
        """Its size and the members that `other` does not have just so."""
        theirs = set(other.members)
        shown = [m for m in self.members if m not in theirs]
        unit = "= {}" if self.enumeration else "at {}"
        places = (m.place if self.enumeration else _bytes(m.place) for m in shown)
        parts = [f"{m.type} {m.name} {unit.format(place)}".strip() for m, place in zip(shown, places, strict=True)]
        return "; ".join([f"{self.size} bytes", *parts])


def _bytes(bits: int) -> str:
    return f"{bits // 8}" if bits % 8 == 0 else f"{bits // 8}:{bits % 8}"


@dataclass(slots=True)
class Declarations:
    """Signatures by exported name, layouts by type name (``struct point``); what each function calls its parameters."""

    signatures: dict[str, str] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)


def debug_file(elf: Elf) -> str | None:
    """The file that holds the debug information of `elf`: its own path, a separate file's, or None for neither."""
    if any(s.name in {".debug_info", ".zdebug_info"} for s in elf.sections):
        return elf.path
    if elf.build_id:
        apart = f"{_DEBUG_FOLDER}/{elf.build_id[:2]}/{elf.build_id[2:]}.debug"
        if os.path.exists(apart):
            return apart
    return None


def read_declarations(
    path: str, names: Iterable[str], headers: Iterable[str] = (), *, with_opaque: bool = False
) -> Declarations:
    """What the debug information in the file at `path` says of the exported `names`.

    `headers` are names of files (without folders) that callers include; see the top of this file. With `with_opaque`
    types that callers cannot know are described, too.

    Raises `Unsupported` where pyelftools is missing, and `MalformedElf` where it cannot read the file.
    """
    try:
        from elftools.common.exceptions import DWARFError, ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as e:
        raise Unsupported(
            path, "debug information is read with pyelftools, which is missing", "pip install 'latebind[abi]'"
        ) from e
    reader = _Reader(frozenset(names), frozenset(headers), with_opaque=with_opaque)
    try:
        with open(path, "rb") as f:
            file = ELFFile(f)
            if file.has_dwarf_info():
                reader.read(file.get_dwarf_info())
    except (ELFError, DWARFError, KeyError, IndexError, ValueError, AssertionError, AttributeError) as e:
        # pyelftools lets what it stumbles over in damaged tables out in these forms too.
        raise MalformedElf(path, None, f"its debug information cannot be read: {str(e) or type(e).__name__}") from e
    return reader.found


class _Reader:
    """Walks the top level of each unit, and from each exported function into the types that it names.

    `pointed` says of a type that it is reached through a pointer, so that callers may not know what is in it.
    """

    def __init__(self, names: frozenset[str], headers: frozenset[str], *, with_opaque: bool) -> None:
        self.names = names
        self.with_opaque = with_opaque
        self.headers = headers
        self.found = Declarations()
        self.texts: dict[tuple[int, bool], str] = {}
        self.files: dict[int, list[str]] = {}
        self.dwarf: Any = None

    def read(self, dwarf: Any) -> None:
        self.dwarf = dwarf
        for unit in dwarf.iter_CUs():
            for entry in unit.get_top_DIE().iter_children():
                self._top(entry)
            if len(self.found.signatures) == len(self.names):
                return

    def _top(self, entry: Any) -> None:
        if entry.tag in {"DW_TAG_namespace", "DW_TAG_class_type", "DW_TAG_structure_type"}:
            for child in entry.iter_children():
                if child.tag in {"DW_TAG_subprogram", "DW_TAG_namespace"}:
                    self._top(child)
            return
        if entry.tag not in {"DW_TAG_subprogram", "DW_TAG_variable"}:
            return
        whole = _specified(entry)  # the definition repeats only a part of what a member's declaration says
        name = _symbol(entry) or _symbol(whole)
        if name not in self.names or "DW_AT_declaration" in entry.attributes:
            return
        if entry.tag == "DW_TAG_variable":
            self.found.signatures[name] = self._type(whole, 0)
            return
        source = entry if any(c.tag == "DW_TAG_formal_parameter" for c in entry.iter_children()) else whole
        result = whole if "DW_AT_type" in whole.attributes else entry
        own = (c for c in source.iter_children() if c.tag == "DW_TAG_formal_parameter")
        self.found.parameters[name] = tuple(_name(c) or _name(_specified(c)) for c in own)
        self.found.signatures[name] = f"{self._type(result, 0)} ({self._parameters(source, 0)})"

    def _parameters(self, entry: Any, depth: int) -> str:
        parts = []
        for child in entry.iter_children():
            if child.tag == "DW_TAG_formal_parameter":
                text = self._type(child if "DW_AT_type" in child.attributes else _specified(child), depth)
                parts.append(_OWN_QUALIFIERS.sub("", text))
            elif child.tag == "DW_TAG_unspecified_parameters":
                parts.append("...")
        if not parts and "DW_AT_prototyped" not in entry.attributes:
            return ""
        return ", ".join(parts) or "void"

    # types ------------------------------------------------------------------------------------------------------

    def _type(self, entry: Any, depth: int, *, pointed: bool = False) -> str:
        """The type that `entry` refers to, as text; ``void`` where it refers to none."""
        if "DW_AT_type" not in entry.attributes:
            return "void"
        if depth > _DEEPEST:
            return "…"
        target = entry.get_DIE_from_attribute("DW_AT_type")
        key = (target.offset, pointed)
        known = self.texts.get(key)
        if known is None:
            known = self.texts[key] = self._describe(target, depth + 1, pointed=pointed)
        return known

    def _describe(self, entry: Any, depth: int, *, pointed: bool) -> str:
        tag = entry.tag
        if tag in _RECORDS:
            return self._record(entry, depth, pointed=pointed)
        if tag == "DW_TAG_typedef":
            return self._typedef(entry, depth, pointed=pointed)
        if tag in _QUALIFIERS:
            return f"{self._type(entry, depth, pointed=pointed)} {_QUALIFIERS[tag]}"
        if tag in _POINTERS:
            return f"{self._type(entry, depth, pointed=True)} {_POINTERS[tag]}"
        if tag == "DW_TAG_array_type":
            text = self._type(entry, depth, pointed=pointed) + "".join(_bounds(c) for c in entry.iter_children())
        elif tag == "DW_TAG_subroutine_type":
            text = f"{self._type(entry, depth)} ({self._parameters(entry, depth)})"
        else:
            name = _qualified(entry)
            text = _BASIC.get(name, name) or str(tag).removeprefix("DW_TAG_")
        return text

    def _typedef(self, entry: Any, depth: int, *, pointed: bool) -> str:
        """What it stands for; it lends its name to a structure that has none."""
        if "DW_AT_type" in entry.attributes:
            target = entry.get_DIE_from_attribute("DW_AT_type")
            if target.tag in _RECORDS and "DW_AT_name" not in target.attributes:
                return self._record(target, depth, pointed=pointed, lent=_qualified(entry))
        return self._type(entry, depth, pointed=pointed)

    def _record(self, entry: Any, depth: int, *, pointed: bool, lent: str = "") -> str:
        """Its name; its layout is noted on the way, once."""
        name = f"{_RECORDS[entry.tag]} {lent or _qualified(entry)}".strip()
        if " " not in name:
            return f"{name} {{ {self._layout(entry, depth).text(Layout(0, ()))} }}"
        self.texts[entry.offset, pointed] = name  # before its members, which may point back to it
        if "DW_AT_declaration" in entry.attributes or name in self.found.layouts or (pointed and self._opaque(entry)):
            return name
        self.found.layouts[name] = Layout(0, ())  # holds the place while the members are read
        self.found.layouts[name] = self._layout(entry, depth)
        return name

    def _opaque(self, entry: Any) -> bool:
        """Whether callers cannot know the members of the type that `entry` defines."""
        if self.with_opaque:
            return False
        attribute = entry.attributes.get("DW_AT_decl_file")
        files = self._files(entry.cu)
        if attribute is None or not 0 <= attribute.value < len(files):
            return False
        name = files[attribute.value]
        return name not in self.headers if self.headers else name.endswith(_SOURCES)

    def _files(self, unit: Any) -> list[str]:
        """The names in the unit's file table, at the numbers that its entries use (DWARF 5, 6.2.4)."""
        known = self.files.get(unit.cu_offset)
        if known is None:
            program = self.dwarf.line_program_for_CU(unit)
            entries = program.header.file_entry if program is not None else ()
            names = [os.path.basename(e.name).decode("utf-8", "surrogateescape") for e in entries]
            if program is not None and program.header.version < 5:
                names.insert(0, "")  # older tables count from 1
            known = self.files[unit.cu_offset] = names
        return known

    def _layout(self, entry: Any, depth: int) -> Layout:
        size = entry.attributes["DW_AT_byte_size"].value if "DW_AT_byte_size" in entry.attributes else 0
        members = []
        for child in entry.iter_children():
            if child.tag == "DW_TAG_enumerator":
                members.append(Member(_name(child), child.attributes["DW_AT_const_value"].value, ""))
            elif child.tag in {"DW_TAG_member", "DW_TAG_inheritance"} and "DW_AT_external" not in child.attributes:
                name = _name(child) if child.tag == "DW_TAG_member" else "(base)"
                bits = child.attributes.get("DW_AT_bit_size")
                width = f" : {bits.value}" if bits is not None else ""
                members.append(Member(name, _place(child), self._type(child, depth) + width))
        align = entry.attributes["DW_AT_alignment"].value if "DW_AT_alignment" in entry.attributes else 0
        enumeration = entry.tag == "DW_TAG_enumeration_type"
        by_reference = not enumeration and is_passed_by_reference(entry)
        return Layout(size, tuple(members), enumeration, align, by_reference)


# single entries ---------------------------------------------------------------------------------------------------


def _text(entry: Any, attribute: str) -> str:
    found = entry.attributes.get(attribute)
    return str(found.value.decode("utf-8", "surrogateescape")) if found is not None else ""


def _name(entry: Any) -> str:
    return _text(entry, "DW_AT_name")


def _symbol(entry: Any) -> str:
    """The name that the linker sees."""
    return _text(entry, "DW_AT_linkage_name") or _text(entry, "DW_AT_MIPS_linkage_name") or _name(entry)


def _specified(entry: Any) -> Any:
    """The declaration, or the abstract instance, that `entry` completes; else `entry`."""
    for attribute in ("DW_AT_specification", "DW_AT_abstract_origin"):
        if attribute in entry.attributes:
            return entry.get_DIE_from_attribute(attribute)
    return entry


def _qualified(entry: Any) -> str:
    """The name with the namespaces and types around it."""
    name = _name(entry)
    parent = entry.get_parent()
    while name and parent is not None and parent.tag in {"DW_TAG_namespace", *_RECORDS}:
        name = f"{_name(parent)}::{name}" if _name(parent) else name
        parent = parent.get_parent()
    return name


def _bounds(entry: Any) -> str:
    for attribute, more in (("DW_AT_count", 0), ("DW_AT_upper_bound", 1)):
        value = entry.attributes[attribute].value if attribute in entry.attributes else None
        if isinstance(value, int):
            return f"[{value + more}]"
    return "[]"


def _place(entry: Any) -> int:
    """Bits from the start of the type; a place that is computed at run time (a virtual base) counts as 0."""
    if "DW_AT_data_bit_offset" in entry.attributes:
        return int(entry.attributes["DW_AT_data_bit_offset"].value)
    place = entry.attributes.get("DW_AT_data_member_location")
    bits = place.value * 8 if place is not None and isinstance(place.value, int) else 0
    if "DW_AT_bit_offset" in entry.attributes:
        # DWARF 2 and 3 count from the most significant bit of the storage unit; that is enough to see a change.
        bits += int(entry.attributes["DW_AT_bit_offset"].value)
    return bits
