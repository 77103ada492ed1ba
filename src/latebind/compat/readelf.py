"""`readelf`: all tables of files, in the order in which GNU readelf prints them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_archive import show_archive
from latebind.compat.readelf_build_notes import BuildNotes
from latebind.compat.readelf_dump import show_dumps
from latebind.compat.readelf_dynamic import show_dynamic
from latebind.compat.readelf_file import File
from latebind.compat.readelf_groups import show_groups
from latebind.compat.readelf_header import machine_name, show_header
from latebind.compat.readelf_histogram import show_histogram
from latebind.compat.readelf_notes import show_notes
from latebind.compat.readelf_relocations import show_relocations
from latebind.compat.readelf_sections import SHT_GROUP, SHT_REL, SHT_RELA, SHT_RELR, SHT_SYMTAB, show_sections
from latebind.compat.readelf_segments import show_segments
from latebind.compat.readelf_symbols import show_symbols
from latebind.compat.readelf_versions import show_versions
from latebind.compat.text import file_name
from latebind.elf.archive import is_archive
from latebind.elf.mapping import map_file
from latebind.elf.section import SHT_DYNSYM, SHT_STRTAB
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.compat.output import Output
    from latebind.compat.readelf_options import Options
    from latebind.elf.bytesource import type_of_bytes

_ENTRY_SIZES: Final = {
    # section type: (bytes of an entry in 32-bit files, in 64-bit ones)
    SHT_DYNSYM: (16, 24),
    SHT_SYMTAB: (16, 24),
    SHT_GROUP: (4, 4),
    SHT_REL: (8, 16),
    SHT_RELA: (12, 24),
    SHT_RELR: (4, 8),
}
# Machines whose unwind tables readelf decodes, and those of which it knows that they have none of their own.
_OWN_UNWIND: Final = frozenset({15, 40, 50, 140})
_NO_UNWIND: Final = frozenset({3, 62})
_EM_ARM, _SHT_ARM_EXIDX = 40, 0x70000001
# Machines with attributes, ABI flags or a GOT of their own for -A.
_SPECIAL: Final = frozenset({2, 8, 10, 11, 18, 20, 21, 40, 43, 45, 92, 105, 140, 195, 243, 252})


def show_files(options: Options, out: Output) -> bool:
    """Show every file of `options`; False if one of them could not be shown in full."""
    run = Run(options, out)
    fine = True
    for path in options.files:
        fine = run.show_path(path) and fine
    out.flush()
    return fine


class Run:
    """What the files of one command line share."""

    def __init__(self, options: Options, out: Output) -> None:
        self.options = options
        self.out = out
        self._build_notes = BuildNotes()
        self._named = len(options.files) > 1

    def show_path(self, path: str) -> bool:
        """Show the file at `path`, or say why not."""
        name = file_name(path)
        problem = _problem(path, name)
        if problem is not None:
            return self.fail(problem)
        try:
            data = map_file(path)
        except OSError:
            return self.fail(f"Input file '{name}' is not readable.")
        if is_archive(data[:8]):
            return show_archive(path, name, data, self)
        if self.options.archive_index:
            self.fail(f"File {name} is not an archive so its index cannot be displayed.")
        return self.show_object(name, data, named=self._named)

    def fail(self, message: str) -> bool:
        """Report that something cannot be shown."""
        self.out.error(message)
        return False

    def show_object(self, name: str, data: type_of_bytes, *, named: bool) -> bool:
        """Show one ELF file, with its name before it if `named`; False if a part of it could not be shown."""
        try:
            file = File(name, data, self.options, self.out)
        except MalformedElf:
            return self.fail(f"{name}: Failed to read file header")
        if named:
            self.out.write(f"\nFile: {name}\n")
        if file.ident[:4] != b"\x7fELF":
            return self.fail(_not_elf(file.ident))
        try:
            return self._show_tables(file)
        except MalformedElf as error:  # a table ends in the middle: what is before it was shown
            return self.fail(error.what)

    def _show_tables(self, file: File) -> bool:
        options = self.options
        if options.header:
            show_header(file)
        has_sections = _look_at_sections(file)
        if options.groups:
            _groups(file)
        show_segments(file)
        fine = show_dynamic(file)
        if options.relocations and (has_sections or options.use_dynamic):
            show_relocations(file)
        if options.unwind and has_sections:
            _unwind(file)
        if has_sections or options.use_dynamic:
            show_symbols(file)
        if options.histogram:
            show_histogram(file)
        return self._show_contents(file, has_sections=has_sections) and fine

    def _show_contents(self, file: File, *, has_sections: bool) -> bool:
        """What readelf shows behind the symbols."""
        options, fine = self.options, True
        if options.versions and has_sections:
            show_versions(file)
        if options.dumps and has_sections:
            fine = show_dumps(file)
        if options.notes:
            fine = show_notes(file, self._build_notes) and fine
        if options.architecture and file.machine in _SPECIAL:
            file.out.warn(f"what is special to {machine_name(file.machine)} is not shown")
        return fine


def _problem(path: str, name: str) -> str | None:
    """Why readelf does not even open the file at `path`; None where it does."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return f"'{name}': No such file"
    except OSError as error:
        return f"Could not locate '{name}'.  System error message: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return f"'{name}' is not an ordinary file"
    return f"{name}: Failed to read file's magic number" if status.st_size < 8 else None


def _not_elf(ident: bytes) -> str:
    """Why this is no ELF file, with a hint for two formats that are taken for it."""
    if ident.startswith(b"BC\xc0\xde"):
        return "This is a LLVM bitcode file - try using llvm-bcanalyzer"
    if ident.startswith(b"go o"):
        return "This is a GO binary file - try using 'go tool objdump' or 'go tool nm'"
    return "Not an ELF file - it has the wrong magic bytes at the start"


def _look_at_sections(file: File) -> bool:
    """Read the section headers, note where the dynamic symbols are, and print the headers if asked.

    False where the headers cannot be read: then nothing that is found through them is shown.
    """
    options, out = file.options, file.out
    if not file.section_count:
        if file.header.shoff:
            out.warn(
                "possibly corrupt ELF file header - it has a non-zero section header offset, but no section headers"
            )
            return False
        if options.sections:
            out.write("\nThere are no sections in this file.\n")
        return True
    if options.sections and not options.header:
        count = file.section_count
        verb, plural = ("is", "") if count == 1 else ("are", "s")
        offset = f"{file.header.shoff:#x}" if file.header.shoff else "0"
        out.write(f"There {verb} {count} section header{plural}, starting at offset {offset}:\n")
    if not file.read_sections():
        return False
    _correct_entry_sizes(file)
    _find_dynamic_tables(file)
    if options.sections:
        show_sections(file)
    return True


def _correct_entry_sizes(file: File) -> None:
    """Tables are read with the entry size that their type has, whatever the header says."""
    corrected = list(file.sections)
    for index, section in enumerate(file.sections):
        expected = _ENTRY_SIZES.get(section.type, (0, 0))[file.is64]
        if expected and section.entsize != expected:
            file.out.error(f"Section {index} has invalid sh_entsize of {section.entsize:x}")
            file.out.error(f"(Using the expected size of {expected:x} for the rest of this dump)")
            corrected[index] = section._replace(entsize=expected)
    file.sections = tuple(corrected)


def _find_dynamic_tables(file: File) -> None:
    """The dynamic symbols and strings that sections give; without sections the dynamic section does."""
    for index, section in enumerate(file.sections):
        if section.type == SHT_STRTAB and file.dynamic_strings is None and file.name_of(section) == ".dynstr":
            file.dynamic_strings = file.take(section.offset, section.size, "dynamic strings")
        if section.type == SHT_DYNSYM and file.options.use_dynamic and file.dynamic_symbols is None:
            file.dynamic_symbols = file.symbols_of(section, index)


def _groups(file: File) -> None:
    if file.section_count and not file.sections:
        file.out.error("Section headers are not available!")
    else:
        show_groups(file)


def _unwind(file: File) -> None:
    machine = file.machine
    if machine == _EM_ARM and not any(s.type == _SHT_ARM_EXIDX for s in file.sections):
        file.out.write("\nThere are no unwind sections in this file.\n")
    elif machine in _OWN_UNWIND:
        file.out.warn(f"the unwind tables of {machine_name(machine)} are not shown")
    elif machine in _NO_UNWIND:
        file.out.write("No processor specific unwind information to decode\n")
    else:
        file.out.write(
            f"\nThe decoding of unwind sections for machine type {machine_name(machine)} is not currently supported.\n"
        )
