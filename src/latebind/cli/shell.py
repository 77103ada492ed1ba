"""`latebind shell`: the classic `dl` shell. Any function of any library, typed in and called.

On a terminal there is a prompt, a history that lasts, and completion of library and function names, which reads
files only: nothing is loaded before a line is entered. Piped, it reads lines and prints answers, and no more.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

import click

from latebind.cli.session import LineError, Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from latebind.cli.session import Loaded

PROMPT = "> "
HISTORY_LENGTH = 1000  # lines


@click.command()
def command() -> None:
    """Call functions of libraries, one line each.

    A line names a library, a function and its arguments. A name alone has the prototype float NAME(float); a C
    prototype says anything else.

    \b
    > libm.so.6 cosf 0.0
      1.000000
    > libz.so.1 unsigned long crc32(unsigned long, const char *, unsigned int) 0 "hello" 5
      907060870
    > bye

    Arguments are numbers, 'c', "text" with C's escapes, true, false or NULL. A function runs inside this process: a
    wrong prototype or argument can crash it. "bye" or the end of input ends the shell.
    """
    session = Session(_load, library_names)
    try:
        for text in _lines():
            if text.strip() == "bye":
                break
            if text.strip() and not text.lstrip().startswith("#"):
                _answer(session, text)
    finally:
        session.close()
        _flush_c_output()


def _answer(session: Session, text: str) -> None:
    try:
        answer = session.execute(text)
    except LineError as error:
        sys.stdout.flush()
        print(f"!!! {error}", file=sys.stderr, flush=True)
    else:
        _flush_c_output()  # what the function printed stands before what it gave
        print(answer, flush=True)


def _load(name: str) -> Loaded:
    from latebind import load

    return load(name)


def _flush_c_output() -> None:
    """C's stdout has a buffer of its own, which is written late when output is not a terminal."""
    import ctypes

    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


# what completion and near misses know ---------------------------------------------------------------------------


@lru_cache(maxsize=1)
def library_names() -> tuple[str, ...]:
    """The libraries that the system's index (ld.so.cache) names, sorted."""
    from latebind.search import Files, LoaderCache

    return tuple(sorted(LoaderCache(Files().setting("/etc/ld.so.cache")).entries))


@lru_cache(maxsize=16)
def function_names(library: str) -> tuple[str, ...]:
    """The functions that `library` exports, sorted, read from its file; none where it cannot be read."""
    from latebind import LatebindError, plan
    from latebind.elf.symbol import STT_FUNC, STT_GNU_IFUNC

    try:
        symbols = plan(library).root.elf.symbols
    except LatebindError:
        return ()  # a completion that finds nothing is silent; entering the line says what is wrong
    return tuple(sorted({s.name for s in symbols if s.exported and s.type in {STT_FUNC, STT_GNU_IFUNC}}))


# the terminal ---------------------------------------------------------------------------------------------------


def _lines() -> Iterator[str]:
    """The lines of standard input; on a terminal with prompt, history and completion."""
    if not sys.stdin.isatty():
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a pipe or file: a TextIOWrapper
        yield from sys.stdin
        return
    with _Editing():
        while True:
            try:
                yield input(PROMPT)
            except KeyboardInterrupt:
                print()  # drop the line, as other shells do
            except EOFError:
                print()
                return


class _Editing:
    """Line editing for as long as the shell runs. Without the readline module lines are read plainly."""

    def __init__(self) -> None:
        self._readline: ModuleType | None = None

    def __enter__(self) -> None:
        try:
            import readline
        except ImportError:  # an interpreter may be built without it
            return
        self._readline = readline
        readline.set_history_length(HISTORY_LENGTH)
        if os.path.exists(history_path()):
            readline.read_history_file(history_path())
        readline.set_completer_delims(" \t")
        readline.set_completer(Completer(readline))
        readline.parse_and_bind("tab: complete")

    def __exit__(self, *_: object) -> None:
        if self._readline is None:
            return
        try:
            os.makedirs(os.path.dirname(history_path()), mode=0o700, exist_ok=True)
            self._readline.write_history_file(history_path())
        except OSError as error:
            print(f"latebind: the history was not kept: {error}", file=sys.stderr)


def history_path() -> str:
    """Where the history is kept (XDG Base Directory Specification, XDG_STATE_HOME)."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "latebind", "shell_history")


class Completer:
    """readline's completer: the first word is a library or a file, any other the name of a function in it."""

    def __init__(self, readline: ModuleType) -> None:
        self._readline = readline
        self._matches: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        """The `state`-th completion of the word `text`, or None when there are no more."""
        if state == 0:
            before = self._readline.get_line_buffer()[: self._readline.get_begidx()]
            self._matches = completions(before, text)
        return self._matches[state] if state < len(self._matches) else None


def completions(before: str, word: str) -> list[str]:
    """What `word` can become after the text `before` it, each with the blank or slash that follows it."""
    library = before.split(maxsplit=1)[0] if before.split() else None
    if library is None:
        names = [*(f"{name} " for name in library_names() if name.startswith(word)), *_files(word)]
    else:
        # A pointer's star may stand before the name, as in `char *strdup(const char *)`.
        stars = word[: len(word) - len(word.lstrip("*"))]
        names = [f"{stars}{name}" for name in function_names(library) if name.startswith(word[len(stars) :])]
    return names


def _files(word: str) -> list[str]:
    if "/" not in word:
        return []
    folder, _, start = word.rpartition("/")
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "/"), key=lambda entry: entry.name)
    except OSError:
        return []
    return [
        f"{folder}/{entry.name}{'/' if entry.is_dir() else ' '}"
        for entry in entries
        if entry.name.startswith(start) and (entry.is_dir() or ".so" in entry.name)
    ]
