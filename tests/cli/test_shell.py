"""The shell as a program: plain when piped; prompt, history and completion on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from latebind.cli.shell import completions, function_names, library_names
from support.command import PROGRAM, latebind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.compiler import Compiler

CLASSIC = """\
libm.so.6 cosf 0.0
libm.so.6 sinf 0.0
libm.so.6 tanf 1.0
libm.so.6 expf 0.0
bye
libm.so.6 cosf 0.0
"""


def test_the_classic_session() -> None:
    run = latebind("shell", text=CLASSIC)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "  1.000000\n  0.000000\n  1.557408\n  1.000000\n"


def test_the_end_of_input_ends_the_shell() -> None:
    run = latebind("shell", text="libm.so.6 cosf 0.0")
    assert (run.returncode, run.stdout) == (0, "  1.000000\n")


def test_a_wrong_line_goes_to_standard_error_and_the_shell_goes_on() -> None:
    lines = ["libm.so.6 no_such_function 1.0", "no_such_library.so.9 cosf 0.0", "libm.so.6 cosf abc", "libm.so.6"]
    run = latebind("shell", text="\n".join([*lines, "# a comment", "", "libm.so.6 cosf 0.0"]))
    assert (run.returncode, run.stdout) == (0, "  1.000000\n")
    said = run.stderr.splitlines()
    assert len(said) == len(lines)
    assert all(line.startswith("!!! ") for line in said)
    for part, line in zip(
        ("no_such_function", "no_such_library.so.9", "abc is not a number", "names"), said, strict=True
    ):
        assert part in line


def test_a_missing_symbol_names_near_misses() -> None:
    assert "did you mean cosf" in latebind("shell", text="libm.so.6 cosff 1.0").stderr


def test_a_library_of_ones_own_is_loaded_by_path_and_keeps_its_state(cc: Compiler) -> None:
    path = cc.shared("static int count; int next(void) { return ++count; }")
    run = latebind("shell", text=f"{path} int next(void)\n" * 3)
    assert run.stdout == "  1\n  2\n  3\n"


def test_what_a_function_prints_stands_before_its_result(cc: Compiler) -> None:
    path = cc.shared('#include <stdio.h>\nint say(int n) { printf("say %d\\n", n); return n; }')
    run = latebind("shell", text=f"{path} int say(int) 1\n{path} int say(int) 2\n")
    assert run.stdout == "say 1\n  1\nsay 2\n  2\n"


# completion -----------------------------------------------------------------------------------------------------


def test_the_first_word_completes_to_libraries() -> None:
    assert "libm.so.6 " in completions("", "libm.s")
    assert "libc.so.6" in library_names()


def test_a_path_completes_to_files(tmp_path: Path) -> None:
    (tmp_path / "libfoo.so.1").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "sub").mkdir()
    assert completions("", f"{tmp_path}/") == [f"{tmp_path}/libfoo.so.1 ", f"{tmp_path}/sub/"]
    assert completions("", f"{tmp_path}/absent/") == []


def test_later_words_complete_to_functions_without_loading(cc: Compiler, tmp_path: Path) -> None:
    source = f"""
        #include <stdio.h>
        __attribute__((constructor)) static void loaded(void) {{ fclose(fopen("{tmp_path}/loaded", "w")); }}
        int public_function(void) {{ return 1; }} int public_data; static int hidden(void) {{ return 2; }}
        int (*keep)(void) = hidden;
    """
    path = str(cc.shared(source))
    assert completions(f"{path} ", "pub") == ["public_function"]
    assert completions(f"{path} int ", "*public_f") == ["*public_function"]
    assert not (tmp_path / "loaded").exists()


def test_a_library_that_is_not_there_has_no_completions() -> None:
    assert function_names("no_such_library.so.9") == ()


# a terminal -----------------------------------------------------------------------------------------------------


class Terminal:
    """`latebind shell` on a pseudo-terminal."""

    def __init__(self, state: Path) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb", "INPUTRC": "/dev/null"}
        self.process = subprocess.Popen(
            [PROGRAM, "shell"], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def expect(self, pattern: str) -> str:
        """Read until `pattern` has appeared since the last call; returns what came up to its end."""
        match = self.look_for(pattern, seconds=30)
        assert match, f"{pattern!r} did not appear in {self.seen!r}"
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def look_for(self, pattern: str, seconds: float) -> re.Match[str] | None:
        """Read for so long until `pattern` has appeared, and leave what was read for `expect`."""
        deadline = time.monotonic() + seconds
        while (match := re.search(pattern, self.seen)) is None:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            try:
                self.seen += os.read(self._master, 4096).decode(errors="replace")
            except OSError as error:  # EIO: the shell has ended
                raise AssertionError(f"the shell ended; {pattern!r} is not in {self.seen!r}") from error
        return match

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    made.expect("> $")
    yield made
    made.close()


def test_a_terminal_has_prompt_and_completion(terminal: Terminal) -> None:
    pytest.importorskip("readline")
    terminal.type("libm.so.6 cosf 0.0\n")
    assert "1.000000" in terminal.expect(r"1\.000000\r\n> ")
    terminal.type("libc.so.6 int getpagesi\t(void)\n")
    terminal.expect(r"getpagesize\(void\)\r\n  4096\r\n> ")
    terminal.type("bye\n")
    assert terminal.process.wait(timeout=30) == 0


def test_an_interrupt_drops_the_line_and_not_the_shell(terminal: Terminal) -> None:
    terminal.type("libm.so.6 co")
    terminal.expect("libm.so.6 co")
    for _ in range(30):  # a signal between two reads of Python's readline module is only noticed with the next
        terminal.process.send_signal(signal.SIGINT)
        if terminal.look_for(r"\n> $", seconds=1):
            break
    terminal.expect(r"\n> $")
    terminal.type("libm.so.6 cosf 0.0\n")
    terminal.expect(r"  1\.000000\r\n> ")


def test_the_history_lasts(terminal: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("readline")
    terminal.type("libm.so.6 cosf 0.0\n")
    terminal.expect(r"1\.000000\r\n> ")
    terminal.type("\x04")
    assert terminal.process.wait(timeout=30) == 0
    again = Terminal(tmp_path)
    try:
        again.expect("> $")
        again.type("\x1b[A\n")
        again.expect(r"1\.000000\r\n> ")
    finally:
        again.close()
    assert (tmp_path / "latebind" / "shell_history").stat().st_mode & 0o077 == 0
