"""Where a tool writes: text of exact bytes in large pieces, and messages that appear between the right lines.

Names in an ELF file are bytes in no particular encoding. All text here is Latin-1, one character a byte, so that
widths are counted in bytes as C's printf does and what is written is what stood in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

_PIECE: Final = 1 << 18  # characters that are collected before they are written


class Output:
    """Standard output and standard error of the tool called `tool`.

    Nothing is written to `stdout` before a piece is full, a message is due, or `flush`.
    """

    def __init__(self, tool: str, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self._tool = tool
        self._stdout = stdout
        self._stderr = stderr
        self._waiting: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        """Write `text`, one character a byte."""
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Hand everything that was written to standard output."""
        text, self._waiting, self._size = "".join(self._waiting), [], 0
        self._stdout.write(text.encode("latin-1"))
        self._stdout.flush()

    def warn(self, message: str) -> None:
        """Say on standard error that something in the file is odd."""
        self._say(f"{self._tool}: Warning: {message}\n")

    def error(self, message: str) -> None:
        """Say on standard error that something in the file cannot be shown."""
        self._say(f"{self._tool}: Error: {message}\n")

    def _say(self, line: str) -> None:
        self.flush()
        self._stderr.write(line.encode("latin-1", "backslashreplace"))
        self._stderr.flush()
