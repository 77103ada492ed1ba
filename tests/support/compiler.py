"""Compiles the short C sources that tests carry inline, so that no binary is ever checked in.

As in `path = cc.shared("int one(void) { return 1; }", name="libone.so", flags=["-Wl,-rpath,$ORIGIN"])`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import needs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Compiler:
    """The machine's compilers (or $CC, $CXX and $AR, for another machine), writing into `folder`."""

    folder: Path

    def shared(self, source: str, *, name: str = "libtest.so", flags: Sequence[str] = ()) -> Path:
        """A shared object `name` made of the C text `source`; `flags` follow the source, so `-l…` works in them."""
        return self._compile(source, name, ("-shared", "-fPIC"), flags)

    def shared_cpp(self, source: str, *, name: str = "libtest.so", flags: Sequence[str] = ()) -> Path:
        """The same of the C++ text `source`."""
        return self._compile(source, name, ("-shared", "-fPIC"), flags, language="cpp")

    def program(self, source: str, *, name: str = "program", flags: Sequence[str] = ()) -> Path:
        """A program `name` made of the C text `source`."""
        return self._compile(source, name, (), flags)

    def object(self, source: str, *, name: str = "test.o", flags: Sequence[str] = ("-fPIC",)) -> Path:
        """A relocatable object `name` made of the C text `source`."""
        return self._compile(source, name, ("-c",), flags)

    def archive(self, *members: Path, name: str = "libtest.a", flags: str = "rcs") -> Path:
        """A static archive `name` of `members`."""
        output = self.folder / name
        subprocess.run(
            [needs.program(os.environ.get("AR", "ar"), "binutils"), flags, str(output), *map(str, members)], check=True
        )
        return output

    def _compile(self, source: str, name: str, kind: Sequence[str], flags: Sequence[str], language: str = "c") -> Path:
        output = self.folder / name
        output.parent.mkdir(parents=True, exist_ok=True)
        text = output.with_name(f"{output.name}.{language}")
        text.write_text(source, encoding="utf-8")
        name, default, package = ("CXX", "g++", "g++") if language == "cpp" else ("CC", "cc", "gcc libc6-dev")
        driver = needs.program(os.environ.get(name, default), package)
        command = [driver, "-O1", "-Wall", *kind, "-o", str(output), str(text), *flags]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{' '.join(command)}\n{run.stderr}"
        return output
