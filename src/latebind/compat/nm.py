"""`nm`: the symbols of object files, sorted, one a line, as GNU nm (binutils/nm.c) prints them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal

from latebind.compat.bfd import error_text, file_size, open_archive, open_member, open_object
from latebind.compat.collation import collation_key
from latebind.compat.lto import NO_ELF_TYPE, with_plugin
from latebind.compat.output import path_text
from latebind.compat.symbol_kind import ABSOLUTE, UNDEFINED
from latebind.elf.names import SYMBOL_TYPES
from latebind.elf.symbol import STT_FILE, STT_GNU_IFUNC
from latebind.elf.symbol_rows import byte_text
from latebind.errors import LatebindError, MalformedElf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from latebind.compat.bfd import BfdFile, SymbolEntry
    from latebind.compat.output import Output
    from latebind.compat.symbol_kind import Kind
    from latebind.compat.symbol_versions import Versions
    from latebind.elf.archive import Archive

Order = Literal["name", "address", "size", "none"]

_UNDEFINED: Final = frozenset("Uwv")
_TYPES: Final = {number: name for number, name in SYMBOL_TYPES.items() if number < STT_GNU_IFUNC}
_RADIX: Final = {"x": "x", "d": "d", "o": "o"}


@dataclass(frozen=True, slots=True)
class NmOptions:
    """What nm's options ask for, with nm's defaults."""

    dynamic: bool = False
    debugging: bool = False
    external_only: bool = False
    undefined_only: bool = False
    defined_only: bool = False
    no_weak: bool = False
    order: Order = "name"
    reverse: bool = False
    style: Literal["bsd", "posix", "sysv", "just-symbols"] = "bsd"
    print_size: bool = False
    file_names: bool = False
    """Print the file's name before every symbol."""
    radix: Literal["x", "d", "o"] = "x"
    quiet: bool = False
    armap: bool = False
    """The symbol index of an archive too."""
    versions: bool = True
    demangler: Callable[[str], str] | None = None
    """What makes a name readable."""
    ifunc_letters: str = "i"
    """The letter of global IFUNC symbols, then that of local ones where there is a second."""
    line_numbers: bool = False


def nm(files: Sequence[str], options: NmOptions, output: Output) -> int:
    """List the symbols of `files`; the number of those that could not be read is nm's exit status."""
    if options.order == "size" and options.undefined_only:
        output.complain("Using the --size-sort and --undefined-only options together")
        output.complain("will produce no output, since undefined symbols have no size.")
        return 0
    return sum(not _list_file(file, options, output, several=len(files) > 1) for file in files)


def _list_file(path: str, options: NmOptions, output: Output, *, several: bool) -> bool:
    shown = path_text(path)
    if file_size(path, output, shown) < 1:
        return False
    try:
        archive = open_archive(path)
        file = with_plugin(open_object(path)) if archive is None else None
    except (LatebindError, OSError) as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    if archive is not None:
        _list_archive(archive, shown, options, output, several=several)
    elif file is not None:
        heading = f"{shown}:" if several else ""
        output.write(_heading(heading, f"from {shown}", file, options))
        _list_symbols(file, shown, options, output, f"{shown}:")
    return True


def _list_archive(archive: Archive, shown: str, options: NmOptions, output: Output, *, several: bool) -> None:
    """The symbols of every member; one that cannot be read is told of, and no failure."""
    if several and options.style == "bsd":
        output.write(f"\n{shown}:\n")
    if options.armap and archive.symbols:
        names: dict[int, str] = {member.header: path_text(member.path or member.name) for member in archive.members}
        output.write("\nArchive index:\n")
        output.write_all(f"{byte_text(name)} in {names.get(at, '')}\n" for name, at in archive.symbols)
    for member in archive.members:
        name = path_text(member.path or member.name)
        try:
            file = with_plugin(open_member(archive, member))
        except LatebindError as error:
            output.complain(f"{name}: {error_text(error)}")
            continue
        posix = options.style == "posix"
        full = f"{shown}[{name}]"
        output.write(_heading(f"{full}:" if posix else f"{name}:", f"from {full}", file, options))
        _list_symbols(file, name, options, output, f"{full}:" if posix else f"{shown}:{name}:")


def _list_symbols(file: BfdFile, shown: str, options: NmOptions, output: Output, prefix: str) -> None:
    try:
        symbols = list(file.symbols(dynamic=options.dynamic))
    except MalformedElf:  # as in BFD, a table that cannot be read has no symbols
        symbols = []
    if symbols:
        output.write_all(_lines(file, symbols, options, prefix if options.file_names else ""))
    elif not options.quiet:
        output.complain(f"{shown}: no symbols")


def _heading(name: str, source: str, file: BfdFile, options: NmOptions) -> str:
    """What stands before the symbols of one object: `name`, or in System V's style a table's head."""
    if options.style == "sysv":
        what = "Undefined symbols" if options.undefined_only else "Symbols"
        pad = "        " if file.digits == 16 else ""
        columns = f"Name                  Value   {pad}Class        Type         Size     {pad}Line  Section"
        return f"\n\n{what} {source}:\n\n{columns}\n\n"
    if not name or options.file_names or options.style == "just-symbols":
        return ""
    return f"{name}\n" if options.style == "posix" else f"\n{name}\n"


# which symbols, in which order ------------------------------------------------------------------------------


def _wanted(symbols: Iterable[SymbolEntry], options: NmOptions) -> list[SymbolEntry]:
    """What nm's `filter_symbols` keeps; of its three first tests only one counts."""
    test: Callable[[SymbolEntry], bool] | None = None
    if options.undefined_only:
        test = _is_undefined
    elif options.external_only:
        test = _is_external
    elif options.no_weak:
        test = _is_strong
    kept = [s for s in symbols if test is None or test(s)]
    if not options.debugging:
        kept = [s for s in kept if not s[3].debugging]
    if options.order == "size":
        kept = [s for s in kept if s[3].section not in {ABSOLUTE, UNDEFINED}]
    if options.defined_only:
        kept = [s for s in kept if not s[3].undefined]
    return kept


def _is_undefined(symbol: SymbolEntry) -> bool:
    return symbol[3].undefined


def _is_external(symbol: SymbolEntry) -> bool:
    return symbol[3].external


def _is_strong(symbol: SymbolEntry) -> bool:
    return not symbol[3].weak


def _sorted(symbols: list[SymbolEntry], options: NmOptions) -> list[SymbolEntry]:
    """In nm's order. Equal symbols stay in file order: glibc's qsort is a merge sort, and so is Python's."""
    if options.order == "none":
        return symbols
    collate = collation_key()

    def by_name(symbol: SymbolEntry) -> object:
        return collate(symbol[0]) if collate is not None else symbol[0]

    def by_address(symbol: SymbolEntry) -> tuple[bool, int, object]:
        defined = not symbol[3].undefined
        return defined, symbol[1] if defined else 0, by_name(symbol)

    def by_size(symbol: SymbolEntry) -> tuple[int, object]:
        return symbol[2], by_name(symbol)

    if options.order == "address":
        return sorted(symbols, key=by_address, reverse=options.reverse)
    if options.order == "size":
        ordered = sorted(symbols, key=lambda s: (s[1], s[3].span[1], s[3].type != STT_FILE, by_name(s)))
        return sorted((s for s in _sized(ordered) if s[2]), key=by_size, reverse=options.reverse)
    return sorted(symbols, key=by_name, reverse=options.reverse)  # type: ignore[arg-type]  # all keys are of one type


def _sized(symbols: list[SymbolEntry]) -> Iterator[SymbolEntry]:
    """The same with a size for section symbols: up to the next symbol of the section, or to its end."""
    for symbol, following in zip_longest(symbols, symbols[1:]):
        name, value, size, kind, other, version = symbol
        if kind.section_symbol:
            same = following is not None and following[3].span == kind.span
            size = (following[1] if same else kind.span[2]) - value
        yield name, value, size, kind, other, version


# how a line looks ---------------------------------------------------------------------------------------------


def _lines(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    chosen = _sorted(_wanted(symbols, options), options)
    places = _places(file, chosen, options)
    readable = options.demangler
    if not options.versions:
        chosen = [(s[0].partition("@")[0], *s[1:]) for s in chosen]
    versions = file.versions if options.dynamic and options.versions else None
    if versions is not None or readable is not None:
        chosen = [(_shown(s, versions, readable), *s[1:]) for s in chosen]
    if options.ifunc_letters != "i":
        chosen = [(*s[:3], _with_ifunc_letter(s[3], options.ifunc_letters), *s[4:]) for s in chosen]
    lines = _styled(chosen, options, prefix, file.digits)
    if places is None:
        return lines
    return (f"{line[:-1]}{place}\n" for line, place in zip(lines, places, strict=True))


def _places(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions) -> list[str] | None:
    """Where each symbol is defined, as it stands at the end of its line; None where it is not asked for."""
    if not options.line_numbers:
        return None
    from latebind.compat.nm_lines import line_finder

    return list(map(line_finder(file, dynamic=options.dynamic), symbols))


def _styled(chosen: list[SymbolEntry], options: NmOptions, prefix: str, width: int) -> Iterator[str]:
    if options.style == "just-symbols":
        return (f"{s[0]}\n" for s in chosen)
    if options.style == "posix":
        return _posix(chosen, options, prefix and f"{prefix} ")
    return (_bsd if options.style == "bsd" else _sysv)(chosen, options, prefix, width)


def _shown(symbol: SymbolEntry, versions: Versions | None, readable: Callable[[str], str] | None) -> str:
    """A symbol's name as it is printed: demangled where that is wanted, with its version."""
    name = symbol[0] if readable is None else readable(symbol[0])
    if versions is None or symbol[3].section_symbol:
        return name
    return name + versions.suffix(symbol[0], symbol[5], undefined=symbol[3].undefined)


def _with_ifunc_letter(kind: Kind, letters: str) -> Kind:
    if kind.letter != "i":
        return kind
    letter = letters[:1] if kind.flags.startswith("g") else letters[1:2] or kind.letter
    return kind._replace(letter=letter)


def _bsd(symbols: list[SymbolEntry], options: NmOptions, prefix: str, width: int) -> Iterator[str]:
    blank, number = " " * width, f"0{width}{_RADIX[options.radix]}"
    size_alone = options.order == "size" and not options.print_size
    for name, value, size, kind, _, _ in symbols:
        letter = kind.letter
        if letter in _UNDEFINED:
            yield f"{prefix}{blank} {letter} {name}\n"
        elif options.print_size and size and (not kind.section_symbol or options.order == "size"):
            yield f"{prefix}{value:{number}} {size:{number}} {letter} {name}\n"
        else:
            yield f"{prefix}{size if size_alone else value:{number}} {letter} {name}\n"


def _posix(symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    number = _RADIX[options.radix]
    for name, value, size, kind, _, _ in symbols:
        if kind.letter in _UNDEFINED:
            yield f"{prefix}{name} {kind.letter}         \n"
        else:
            shown = f"{size:{number}}" if size and not kind.section_symbol else ""
            yield f"{prefix}{name} {kind.letter} {value:{number}} {shown}\n"


def _sysv(symbols: list[SymbolEntry], options: NmOptions, prefix: str, width: int) -> Iterator[str]:
    blank, number = " " * width, f"0{width}{_RADIX[options.radix]}"
    for name, value, size, kind, _, _ in symbols:
        address = blank if kind.letter in _UNDEFINED else format(value, number)
        if kind.section_symbol or kind.type == NO_ELF_TYPE:  # BFD keeps no ELF facts about these
            type_name, length, section = "", blank, ""
        else:
            type_name, length, section = _type_name(kind.type), format(size, number) if size else blank, kind.section
        yield f"{prefix}{name:<20}|{address}|   {kind.letter}  |{type_name:>18}|{length}|     |{section}\n"


def _type_name(kind: int) -> str:
    if kind in _TYPES:
        return _TYPES[kind]
    return (
        f"<processor specific>: {kind}"
        if kind >= 13
        else f"<OS specific>: {kind}"
        if kind >= 10
        else f"<unknown>: {kind}"
    )
