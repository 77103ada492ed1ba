"""Command lines as the familiar tools read them: GNU getopt_long, with its messages.

Options and files may be mixed, long names abbreviated, short ones joined; `--` ends the options, and ``@FILE`` stands
for the words in a file (libiberty's `expandargv`). An option that a tool has and we do not offer is named as such.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_FILES: Final = 2000  # of @FILE inside @FILE, as in libiberty


class Argument(Enum):
    """Whether an option has an argument."""

    NONE = 0
    REQUIRED = 1
    OPTIONAL = 2
    """Only in the same word: ``--name=ARGUMENT``, ``-xARGUMENT``."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its letters, its long names, whether it has an argument, and what `--help` says of it.

    Without `help` it is understood and not listed; with `refused` it is a usage error, for this reason.
    """

    letters: str
    names: tuple[str, ...] = ()
    help: str = ""
    argument: Argument = Argument.NONE
    refused: str = ""

    @property
    def key(self) -> str:
        """How it is called in what `parse` returns: its first long name, or its letter."""
        return self.names[0] if self.names else self.letters[0]


def refuse(names: str, why: str) -> tuple[Option, ...]:
    """The options that `names` lists (``"-x --long --other=ARG"``) as understood and refused, because of `why`."""
    found = []
    for word in names.split():
        name, takes, _ = word.lstrip("-").partition("=")
        argument = Argument.OPTIONAL if takes else Argument.NONE
        is_long = word.startswith("--")
        found.append(Option("" if is_long else name, (name,) if is_long else (), argument=argument, refused=why))
    return tuple(found)


class UsageError(LatebindError):
    """A command line that the tool does not take. `show_usage` tells whether the usage follows the message."""

    def __init__(self, message: str, *, show_usage: bool = True) -> None:
        super().__init__(message)
        self.show_usage = show_usage


def parse(options: Sequence[Option], arguments: Sequence[str]) -> tuple[list[tuple[Option, str | None]], list[str]]:
    """The options in `arguments` in their order, each with its argument, and the files.

    Raises `UsageError` for what is unknown, ambiguous or not offered, with getopt's message.
    """
    by_letter = {letter: option for option in options for letter in option.letters}
    by_name = {name: option for option in options for name in option.names}
    words = list(_expanded(arguments))
    found: list[tuple[Option, str | None]] = []
    files: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            files += words
            break
        if word.startswith("--"):
            found.append(_long(word[2:], by_name, words))
        elif word.startswith("-") and word != "-":
            found += _short(word[1:], by_letter, words)
        else:
            files.append(word)
    for option, _ in found:
        if option.refused:
            name = f"--{option.names[0]}" if option.names else f"-{option.letters}"
            raise UsageError(f"latebind does not offer {name}: {option.refused}", show_usage=False)
    return found, files


def _long(text: str, by_name: dict[str, Option], words: list[str]) -> tuple[Option, str | None]:
    name, equals, value = text.partition("=")
    matches = [known for known in by_name if known.startswith(name)]
    if name in by_name:
        matches = [name]
    if len({id(by_name[match]) for match in matches}) > 1:
        possible = " ".join(f"'--{match}'" for match in matches)
        raise UsageError(f"option '--{name}' is ambiguous; possibilities: {possible}")
    if not matches:
        raise UsageError(f"unrecognized option '--{name}'")
    option = by_name[matches[0]]
    if equals:
        if option.argument is Argument.NONE:
            raise UsageError(f"option '--{matches[0]}' doesn't allow an argument")
        return option, value
    if option.argument is Argument.REQUIRED:
        if not words:
            raise UsageError(f"option '--{matches[0]}' requires an argument")
        return option, words.pop(0)
    return option, None


def _short(letters: str, by_letter: dict[str, Option], words: list[str]) -> Iterator[tuple[Option, str | None]]:
    while letters:
        letter, letters = letters[0], letters[1:]
        option = by_letter.get(letter)
        if option is None:
            raise UsageError(f"invalid option -- '{letter}'")
        if option.argument is Argument.NONE:
            yield option, None
            continue
        if letters:
            yield option, letters
        elif option.argument is Argument.OPTIONAL:
            yield option, None
        elif words:
            yield option, words.pop(0)
        else:
            raise UsageError(f"option requires an argument -- '{letter}'")
        return


def _expanded(arguments: Sequence[str]) -> Iterator[str]:
    """`arguments` with the words of each ``@FILE`` in its place; a file that cannot be read is a word like others."""
    pending, opened = list(arguments), 0
    while pending:
        word = pending.pop(0)
        if not word.startswith("@") or opened >= _MOST_FILES:
            yield word
            continue
        try:
            with open(word[1:], encoding="utf-8", errors="surrogateescape") as file:
                opened += 1
                pending[:0] = shlex.split(file.read())
        except (OSError, ValueError):  # ValueError: a quotation mark without its partner
            yield word


def usage(head: Sequence[str], options: Sequence[Option]) -> str:
    """The text of --help."""
    lines = list(head)
    for option in options:
        if option.help:
            forms = [f"-{letter}" for letter in option.letters] + [f"--{name}" for name in option.names]
            lines.append(f"  {', '.join(forms):<34} {option.help}")
    return "\n".join(lines) + "\n"
