"""The command line of `objdump`: which options there are, and what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from latebind.compat.command_line import Argument, Option, parse, refuse
from latebind.compat.demangled import demangler
from latebind.compat.objdump import ObjdumpOptions
from latebind.compat.output import path_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_DISASSEMBLER: Final = "it does not disassemble"
_NO_DWARF: Final = "it does not print debug information"
_ONE_READER: Final = "it reads ELF files alone, of every target"

OPTIONS: Final = (
    Option("a", ("archive-headers",), "What the archive says of each member."),
    Option("f", ("file-headers",), "Architecture, flags and start address."),
    Option("p", ("private-headers",), "Segments, dynamic section, versions."),
    Option("h", ("section-headers", "headers"), "The sections."),
    Option("x", ("all-headers",), "All of that, with symbols and relocations: -a -f -p -h -t -r."),
    Option("s", ("full-contents",), "The bytes of the sections."),
    Option("t", ("syms",), "The static symbols."),
    Option("T", ("dynamic-syms",), "The dynamic symbols."),
    Option("r", ("reloc",), "The relocations of sections."),
    Option("R", ("dynamic-reloc",), "The dynamic relocations."),
    Option("j", ("section",), "Speak of this section only; may be given several times.", Argument.REQUIRED),
    Option("C", (), "The same as --demangle."),
    Option("", ("demangle",), "Names as written in C++ and Rust; =STYLE: none, auto, gnu-v3, rust.", Argument.OPTIONAL),
    Option("F", ("file-offsets",), "Where in the file contents begin."),
    Option("w", ("wide",), "Lines may be longer than 80 columns."),
    Option("", ("special-syms",), "Special symbols too, of which ELF targets of this build have none."),
    Option("", ("recurse-limit", "no-recurse-limit")),
    Option("H", ("help",), "This text."),
    Option("vV", ("version",), "The version."),
    *refuse("-d --disassemble=SYMBOL -D --disassemble-all -S --source --source-comment=TEXT", _NO_DISASSEMBLER),
    *refuse("-M= --disassembler-options= -EB --endian= -z --disassemble-zeroes --prefix-addresses", _NO_DISASSEMBLER),
    *refuse("--show-raw-insn --no-show-raw-insn --insn-width= --visualize-jumps= --show-all-symbols", _NO_DISASSEMBLER),
    *refuse("--disassembler-color= --no-addresses --prefix= --prefix-strip= --file-start-context", _NO_DISASSEMBLER),
    *refuse("-g --debugging -e --debugging-tags -G --stabs -W= --dwarf= --dwarf-depth= --dwarf-start=", _NO_DWARF),
    *refuse("--dwarf-check -L --process-links --ctf= --ctf-parent= --sframe= -l --line-numbers --inlines", _NO_DWARF),
    *refuse("-b= --target= -m= --architecture= -i --info -P= --private= -I= --include=", _ONE_READER),
    *refuse("--start-address= --stop-address= --adjust-vma=", "it prints whole sections, at their own addresses"),
    *refuse("-U= --unicode=", "names are printed byte for byte"),
)

_ALL_HEADERS: Final = (
    "archive_headers", "file_headers", "private_headers", "section_headers", "symbols", "relocations",
)  # fmt: skip
_FLAGS: Final = {
    "archive-headers": "archive_headers",
    "file-headers": "file_headers",
    "private-headers": "private_headers",
    "section-headers": "section_headers",
    "full-contents": "contents",
    "syms": "symbols",
    "dynamic-syms": "dynamic_symbols",
    "reloc": "relocations",
    "dynamic-reloc": "dynamic_relocations",
    "file-offsets": "offsets",
    "wide": "wide",
}


def parse_objdump(arguments: Sequence[str]) -> tuple[ObjdumpOptions, list[str], str | None]:
    """The options, the files, and ``"help"`` or ``"version"`` where that is all that is asked for.

    Raises `UsageError`.
    """
    found, files = parse(OPTIONS, arguments)
    chosen: dict[str, Any] = {}
    sections: list[str] = []
    for option, value in found:
        key = option.key
        if key in {"help", "version"}:
            return ObjdumpOptions(), files, key
        if key in _FLAGS:
            chosen[_FLAGS[key]] = True
        elif key == "all-headers":
            chosen |= dict.fromkeys(_ALL_HEADERS, True)
        elif key == "section":
            sections.append(path_text(value or ""))
        elif key in {"C", "demangle"}:
            chosen["demangler"] = demangler(value or "")
    return ObjdumpOptions(sections=tuple(dict.fromkeys(sections)), **chosen), files, None
