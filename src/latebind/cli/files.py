"""What the reporting verbs share: several files in one run; a bad one is reported and does not stop the others."""

from __future__ import annotations

import os
import sys

from latebind.cli.boundary import FINDING, SUCCESS, complain
from latebind.cli.progress import with_progress
from latebind.errors import LatebindError, SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Final

    from latebind.elf import Elf
    from latebind.elf.summary import Summary
    from latebind.search import Files


_WIDE: Final = 1 << 16
"""Bytes: as much as a pipe holds (pipe(7)); Python's own buffer has an eighth of that."""


def open_file(name: str, files: Files, library_path: tuple[str, ...] = ()) -> Elf:
    """As `open_summary`, the whole file."""
    return open_summary(name, files, library_path).elf


def open_summary(name: str, files: Files, library_path: tuple[str, ...] = ()) -> Summary:
    """The file that `name` means on a command line: a path or, as for dlopen(3), the name of a library to search for.

    `library_path` holds the folders to search first. Raises NotFound with every place that was tried.
    """
    if is_path(name, files):
        return files.summary(name)
    from latebind.search import locate
    from latebind.search.environment import environment_for

    program = files.summary(os.readlink("/proc/self/exe"))  # on whose behalf a name is looked up
    return locate(name, program, files, environment_for(program, files).with_library_path(library_path))


def is_path(name: str, files: Files) -> bool:
    """Whether `name` on a command line means a path, and not a library to search for."""
    return "/" in name or files.root is not None or os.path.exists(name)


def for_each(files: Sequence[str], report: Callable[[str], bool]) -> int:
    """Call `report` for each file; the exit status is a finding if one answers False or cannot be read."""
    status = SUCCESS
    for file in with_progress(files):
        try:
            fine = report(file)
        except LatebindError as error:
            complain(error)
            fine = False
        if not fine:
            status = FINDING
    return status


def print_lines(lines: Iterable[str]) -> None:
    """Print text, all of it at once: half a report of a broken file would be worse than none."""
    print("\n".join(lines))


def widen_output() -> None:
    """Give standard output a larger buffer where no person watches: many files' reports are then fewer writes."""
    out = sys.stdout
    raw = getattr(getattr(out, "buffer", None), "raw", None)
    if raw is None or out.line_buffering or raw.isatty():
        return  # `python -u`, a terminal, or what a test has put there
    out.flush()
    sys.stdout = open(  # noqa: SIM115  (open until the process ends)
        out.fileno(), "w", _WIDE, encoding=out.encoding, errors=out.errors, newline="\n", closefd=False
    )


def utf8_printer() -> Callable[[bytes], object]:
    """What prints whole lines in UTF-8 on standard output as it is now.

    Not to be mixed with the functions for text, which have their own buffer.
    """
    out = sys.stdout
    if out.encoding == "utf-8" and not out.line_buffering and hasattr(out.buffer, "raw"):
        return out.buffer.write
    # also with `python -u`, whose stream without a buffer may leave off the end of what it is given
    return lambda text: print(text.decode("utf-8", "surrogateescape").removesuffix("\n"))


def print_document(document: dict[str, Any]) -> None:
    """Print one JSON document on one line."""
    import json

    print(json.dumps(document, separators=(",", ":"), ensure_ascii=True))


def write_page(name: str, text: str) -> None:
    """Write a picture or page to the file `name`, where ``-`` is standard output. Raises SystemFailure."""
    if name == "-":
        print(text, end="")
        return
    try:
        with open(name, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(text)
    except OSError as error:
        raise SystemFailure("writing", error.errno or 0, name) from error
