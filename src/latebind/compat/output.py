"""Where a tool's output goes, given to it from outside: bytes for standard output, messages for standard error.

All text is byte text (elf/symbol_rows.py): one character per byte, so that names which are not UTF-8 come out as they
stand in the file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORTION: Final = 1 << 18  # characters encoded and written at once: enough to be fast, little enough for memory


class Output:
    """The two streams of one run of the tool called `tool`."""

    def __init__(self, tool: str, out: BinaryIO, errors: BinaryIO) -> None:
        self.tool = tool
        self._out = out
        self._errors = errors

    def write(self, text: str) -> None:
        """Write `text` to standard output."""
        self._out.write(text.encode("latin-1"))

    def write_all(self, pieces: Iterable[str]) -> None:
        """Write many short texts, in large portions; where `pieces` raises, what came before is written."""
        portion: list[str] = []
        room = _PORTION
        try:
            for piece in pieces:
                portion.append(piece)
                room -= len(piece)
                if room < 0:
                    self.write("".join(portion))
                    portion.clear()
                    room = _PORTION
        finally:
            self.write("".join(portion))

    def flush(self) -> None:
        """Hand over what was written so far."""
        self._out.flush()

    def warn(self, message: str) -> None:
        """Say on standard error that something in the file is odd."""
        self.complain(f"Warning: {message}")

    def error(self, message: str) -> None:
        """Say on standard error that something in the file cannot be shown."""
        self.complain(f"Error: {message}")

    def complain(self, message: str) -> None:
        """One message on standard error, with the tool's name before it."""
        self.message(f"{self.tool}: {message}")

    def message(self, text: str) -> None:
        """One line on standard error, behind everything that was printed before it."""
        self._out.flush()
        self._errors.write(f"{text}\n".encode("latin-1", "backslashreplace"))
        self._errors.flush()


def path_text(path: str) -> str:
    """A path of the file system as byte text."""
    return os.fsencode(path).decode("latin-1")
