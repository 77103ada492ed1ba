"""Where the symbols of a file are defined, by its debug information: file and line, as `nm -l` asks.

The rules are those of BFD (bfd/dwarf2.c): a function or variable of that name at that address says where it was
declared; else the line table says what is at the address. The reader is pyelftools, which is optional.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from latebind.elf.header import ET_REL
from latebind.errors import MalformedElf, Unsupported
from latebind.linkplan.debug_image import debug_image
from latebind.linkplan.declarations import debug_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Elf

_DW_OP_ADDR = 0x03


class Place(NamedTuple):
    """A line of a source file."""

    file: str
    line: int


class _Declared(NamedTuple):
    """A function or a variable: its name, the addresses that it covers, and where it was declared."""

    name: str
    low: int
    high: int
    place: Place


def source_lines(elf: Elf) -> SourceLines | None:
    """The source lines of `elf`, from its own debug information or that of its build-id; None without any.

    Without pyelftools there are none, too. Raises `MalformedElf` where the debug information cannot be read.
    """
    try:
        from elftools.common.exceptions import DWARFError, ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    own = elf.section(".debug_info") is not None or elf.section(".zdebug_info") is not None
    path = None if own else debug_file(elf)
    if not own and path is None:
        return None
    try:
        if path is None:
            data, bases = debug_image(elf) if elf.header.type == ET_REL else (bytes(elf.data), {})
            return SourceLines(ELFFile(io.BytesIO(data)).get_dwarf_info(), bases)
        with open(path, "rb") as file:
            return SourceLines(ELFFile(file).get_dwarf_info())
    except Unsupported:  # a compression that this Python cannot undo
        return None
    except (ELFError, DWARFError, KeyError, IndexError, ValueError, AssertionError, AttributeError, TypeError) as e:
        # pyelftools lets what it stumbles over in damaged tables out in these forms too.
        what = f"its debug information cannot be read: {str(e) or type(e).__name__}"
        raise MalformedElf(path or elf.path, None, what) from e


class SourceLines:
    """All that the debug information `dwarf` (pyelftools' DWARFInfo) says of places, read at once.

    `bases` holds the addresses of the sections of a relocatable file, by index, which count from 0 in the file.
    """

    def __init__(self, dwarf: Any, bases: dict[int, int] | None = None) -> None:
        self._bases = bases or {}
        self._functions: list[_Declared] = []
        self._variables: dict[int, list[_Declared]] = {}
        self._rows: list[tuple[int, int, Place]] = []
        ranges = dwarf.range_lists()
        for unit in dwarf.iter_CUs():
            files = _Files(dwarf, unit)
            for entry in unit.iter_DIEs():
                if entry.tag == "DW_TAG_subprogram":
                    self._functions += _function(entry, files, ranges, unit)
                elif entry.tag == "DW_TAG_variable":
                    for found in _variable(entry, files):
                        self._variables.setdefault(found.low, []).append(found)
            self._rows += files.rows()
        self._functions.sort(key=lambda found: found.low)
        self._starts = [found.low for found in self._functions]
        self._rows.sort(key=lambda row: row[0])
        self._row_starts = [row[0] for row in self._rows]

    def declared(self, name: str, address: int, section: int = 0) -> Place | None:
        """Where the function or variable `name` at `address` (counted from the start of its `section`) was declared."""
        address += self._bases.get(section, 0)
        # the names of variables stand inside the symbols of C++ and of what is local to a function
        found = [v for v in self._variables.get(address, ()) if v.name in name]
        if found:
            return found[0].place
        end = bisect_right(self._starts, address)
        inside = [f for f in self._functions[:end] if f.low <= address < f.high and _matches(name, f.name)]
        return min(inside, key=lambda f: f.high - f.low).place if inside else None

    def at(self, address: int, section: int = 0) -> Place | None:
        """The line that the code at `address`, counted as in `declared`, comes from."""
        address += self._bases.get(section, 0)
        index = bisect_right(self._row_starts, address) - 1
        if index < 0 or not self._rows[index][0] <= address < self._rows[index][1]:
            return None
        return self._rows[index][2]


def _matches(symbol: str, name: str) -> bool:
    """Whether a symbol is that of a declared name: the compiler adds .0 and the like to names of local things."""
    return symbol == name or symbol.startswith(f"{name}.")


class _Files:
    """The file table of one unit, and its line table."""

    def __init__(self, dwarf: Any, unit: Any) -> None:
        self._program = dwarf.line_program_for_CU(unit)
        top = unit.get_top_DIE()
        self._folder = _text(top.attributes.get("DW_AT_comp_dir"))
        self._version = self._program["version"] if self._program is not None else 0

    def name(self, number: int) -> str:
        """The path of file `number` (`concat_filename`)."""
        files = self._program["file_entry"] if self._program is not None else ()
        index = number if self._version >= 5 else number - 1
        if not 0 <= index < len(files):
            return "<unknown>"
        entry = files[index]
        name: str = entry.name.decode("utf-8", "surrogateescape")
        if name.startswith("/"):
            return name
        folders = self._program["include_directory"]
        at = entry.dir_index if self._version >= 5 else entry.dir_index - 1
        folder = folders[at].decode("utf-8", "surrogateescape") if 0 <= at < len(folders) else ""
        parts = [part for part in (self._folder if not folder.startswith("/") else "", folder, name) if part]
        return "/".join(parts)

    def rows(self) -> Iterator[tuple[int, int, Place]]:
        """The line table: first address, the one behind the last, and the place."""
        if self._program is None:
            return
        before = None
        for entry in self._program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address < state.address and before.line:
                yield before.address, state.address, Place(self.name(before.file), before.line)
            before = None if state.end_sequence else state


def _text(attribute: Any) -> str:
    value = getattr(attribute, "value", b"")
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""


def _facts(entry: Any) -> tuple[str, int | None, int | None]:
    """Name (the linkage name first), file number and line of a DIE, its own or those of what it completes."""
    name, file, line = "", None, None
    steps = 0
    while entry is not None and steps < 8:  # a definition, its declaration, and what either was inlined from
        attributes = entry.attributes
        linkage = _text(attributes.get("DW_AT_linkage_name") or attributes.get("DW_AT_MIPS_linkage_name"))
        name = name or linkage or _text(attributes.get("DW_AT_name"))
        if file is None and "DW_AT_decl_file" in attributes:
            file = attributes["DW_AT_decl_file"].value
        if line is None and "DW_AT_decl_line" in attributes:
            line = attributes["DW_AT_decl_line"].value
        link = next((a for a in ("DW_AT_specification", "DW_AT_abstract_origin") if a in attributes), None)
        entry = entry.get_DIE_from_attribute(link) if link is not None else None
        steps += 1
    return name, file, line


def _function(entry: Any, files: _Files, ranges: Any, unit: Any) -> Iterator[_Declared]:
    spans = list(_spans(entry, ranges, unit))
    if not spans:
        return
    name, file, line = _facts(entry)
    if name and file is not None and line:
        place = Place(files.name(file), line)
        yield from (_Declared(name, low, high, place) for low, high in spans)


def _spans(entry: Any, ranges: Any, unit: Any) -> Iterator[tuple[int, int]]:
    attributes = entry.attributes
    low, high = attributes.get("DW_AT_low_pc"), attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        end = high.value if high.form == "DW_FORM_addr" else low.value + high.value
        yield low.value, end
    elif "DW_AT_ranges" in attributes and ranges is not None:
        base = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        start = base.value if base is not None else 0
        for item in ranges.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit):
            if hasattr(item, "begin_offset"):
                shift = 0 if getattr(item, "is_absolute", False) else start
                yield item.begin_offset + shift, item.end_offset + shift
            else:
                start = item.base_address


def _variable(entry: Any, files: _Files) -> Iterator[_Declared]:
    location = entry.attributes.get("DW_AT_location")
    value = getattr(location, "value", None)
    if not isinstance(value, list) or not value or value[0] != _DW_OP_ADDR:
        return
    order = "little" if entry.cu.structs.little_endian else "big"
    address = int.from_bytes(bytes(value[1 : 1 + entry.cu["address_size"]]), order)  # type: ignore[arg-type]
    name, file, line = _facts(entry)
    if name and file is not None and line:
        yield _Declared(name, address, address, Place(files.name(file), line))
