"""`nm`: the symbols of object files, sorted, one a line, as GNU nm (binutils/nm.c) prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from latebind.compat.bfd import error_text, file_size, open_object
from latebind.compat.collation import collation_key
from latebind.compat.output import path_text
from latebind.errors import LatebindError, MalformedElf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from latebind.compat.bfd import BfdFile, SymbolEntry
    from latebind.compat.output import Output

Order = Literal["name", "address", "size", "none"]

_UNDEFINED: Final = frozenset("Uwv")
_TYPES: Final = {0: "NOTYPE", 1: "OBJECT", 2: "FUNC", 3: "SECTION", 4: "FILE", 5: "COMMON", 6: "TLS"}
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
    versions: bool = True


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
        file = open_object(path)
    except LatebindError as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    output.write(_heading(shown, file, options, several=several))
    symbols: list[SymbolEntry] = []
    try:
        symbols = list(file.symbols(dynamic=options.dynamic))
        lines = _lines(file, symbols, options, f"{shown}:" if options.file_names else "")
    except MalformedElf:  # as in BFD, a table that cannot be read has no symbols
        symbols, lines = [], iter(())
    if not symbols:
        if not options.quiet:
            output.complain(f"{shown}: no symbols")
        return True
    output.write_all(lines)
    return True


def _heading(shown: str, file: BfdFile, options: NmOptions, *, several: bool) -> str:
    if options.style == "sysv":
        what = "Undefined symbols" if options.undefined_only else "Symbols"
        pad = "        " if file.digits == 16 else ""
        columns = f"Name                  Value   {pad}Class        Type         Size     {pad}Line  Section"
        return f"\n\n{what} from {shown}:\n\n{columns}\n\n"
    if not several or options.file_names or options.style == "just-symbols":
        return ""
    return f"{shown}:\n" if options.style == "posix" else f"\n{shown}:\n"


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
        kept = [s for s in kept if s[3].section not in {"*ABS*", "*UND*"}]
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
        symbols = sorted(symbols, key=lambda s: (s[1], by_name(s)))
        return sorted((s for s in symbols if s[2]), key=by_size, reverse=options.reverse)
    return sorted(symbols, key=by_name, reverse=options.reverse)  # type: ignore[arg-type]  # all keys are of one type


# how a line looks ---------------------------------------------------------------------------------------------


def _lines(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    chosen = _sorted(_wanted(symbols, options), options)
    if options.style == "bsd":
        return _bsd(file, chosen, options, prefix)
    if options.style == "just-symbols":
        return (f"{_full_name(file, s, options)}\n" for s in chosen)
    if options.style == "posix":
        return _posix(file, chosen, options, prefix and f"{prefix} ")
    return _sysv(file, chosen, options, prefix)


def _full_name(file: BfdFile, symbol: SymbolEntry, options: NmOptions) -> str:
    """The name with its version, or without what an ``@`` in it says."""
    name, kind = symbol[0], symbol[3]
    if not options.versions:
        return name.partition("@")[0]
    if file.versions is None or kind.section_symbol:
        return name
    return name + file.versions.suffix(name, symbol[5], undefined=kind.undefined)


def _bsd(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    width = file.digits
    blank, number = " " * width, f"0{width}{_RADIX[options.radix]}"
    names = file.versions is not None or not options.versions
    for symbol in symbols:
        name, value, size, kind, _, _ = symbol
        if names:
            name = _full_name(file, symbol, options)
        letter = kind.letter
        if letter in _UNDEFINED:
            yield f"{prefix}{blank} {letter} {name}\n"
            continue
        shown = format(size if options.order == "size" and not options.print_size else value, number)
        if options.print_size and size and not kind.section_symbol:
            shown = f"{shown} {size:{number}}"
        yield f"{prefix}{shown} {letter} {name}\n"


def _posix(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    number = _RADIX[options.radix]
    for symbol in symbols:
        _, value, size, kind, _, _ = symbol
        name = _full_name(file, symbol, options)
        if kind.letter in _UNDEFINED:
            yield f"{prefix}{name} {kind.letter}         \n"
        else:
            shown = f"{size:{number}}" if size and not kind.section_symbol else ""
            yield f"{prefix}{name} {kind.letter} {value:{number}} {shown}\n"


def _sysv(file: BfdFile, symbols: list[SymbolEntry], options: NmOptions, prefix: str) -> Iterator[str]:
    width = file.digits
    blank, number = " " * width, f"0{width}{_RADIX[options.radix]}"
    for symbol in symbols:
        _, value, size, kind, _, _ = symbol
        name = _full_name(file, symbol, options)
        address = blank if kind.letter in _UNDEFINED else format(value, number)
        if kind.section_symbol:  # BFD keeps no ELF facts about these
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
