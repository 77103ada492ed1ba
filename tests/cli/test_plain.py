"""`latebind deps FILE...` in its plain form goes past click, and nobody can tell by anything but the time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from latebind.cli.plain import plain_form
from support.command import PROGRAM, latebind
from support.terminal import on_terminal

FILES = ["/bin/ls", "/bin/bash", "/usr/bin/perl"]
THROUGH_CLICK = ("--color", "auto")  # what is meant anyway, but no plain option


@pytest.mark.parametrize(
    "arguments",
    [
        ["deps", "a"], ["deps", "--json", "a", "b"], ["deps", "a", "--list"], ["deps", "--tree", "--json", "a"],
        ["deps", ""],
    ],
)  # fmt: skip
def test_the_plain_form_is_recognised(arguments: list[str]) -> None:
    assert plain_form(arguments) is not None


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["deps"], ["deps", "--json"], ["deps", "--help"], ["deps", "-h", "a"], ["deps", "--", "a"], ["deps", "-"],
        ["deps", "--dot", "a"], ["deps", "--color", "never", "a"], ["deps", "-L", "x", "a"], ["deps", "--jso", "a"],
        ["deps", "--json=1", "a"], ["ldd", "a"], ["--version"], ["a", "deps"],
    ],
)  # fmt: skip
def test_everything_else_is_clicks(arguments: list[str]) -> None:
    assert plain_form(arguments) is None


def test_completion_is_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LATEBIND_COMPLETE", "bash_complete")
    assert plain_form(["deps", "a"]) is None


def both(
    *arguments: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """`latebind deps ARGUMENTS` past click and through it."""
    plain = latebind("deps", *arguments, environment=environment, folder=folder)
    clicks = latebind("deps", *THROUGH_CLICK, *arguments, environment=environment, folder=folder)
    return plain, clicks


def same(plain: subprocess.CompletedProcess[str], clicks: subprocess.CompletedProcess[str]) -> bool:
    return (plain.returncode, plain.stdout, plain.stderr) == (clicks.returncode, clicks.stdout, clicks.stderr)


@pytest.mark.parametrize("style", [[], ["--tree"], ["--list"], ["--json"], ["--tree", "--json"], ["--json", "--list"]])
def test_every_style(style: list[str]) -> None:
    plain, clicks = both(*style, *FILES)
    assert same(plain, clicks)
    assert plain.returncode == 0
    assert plain.stdout.count("libc.so.6") >= 3


def test_what_cannot_be_read_is_reported_between_what_can(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no")
    plain, clicks = both("/bin/ls", "absent", str(tmp_path / "text"), "/bin/bash", folder=tmp_path)
    assert same(plain, clicks)
    assert plain.returncode == 1
    assert "absent: not found" in plain.stderr
    assert "not an ELF file" in plain.stderr


def test_many_files_in_one_run_are_what_each_is_alone(tmp_path: Path) -> None:
    """From some number on, a thread reads them ahead."""
    bad = tmp_path / "bad"
    bad.write_bytes(b"hello")
    files = [*FILES, str(bad), str(tmp_path / "absent"), "/bin/ls", "/lib/x86_64-linux-gnu/libc.so.6"] * 5
    together = latebind("deps", *files)
    alone = [latebind("deps", file) for file in files[:7]]
    assert together.returncode == 1
    assert together.stdout == "".join([one.stdout for one in alone]) * 5
    assert together.stderr == "".join([one.stderr for one in alone]) * 5


def test_a_name_that_is_searched_for_and_a_file_in_this_folder(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(Path("/bin/ls").read_bytes())
    plain, clicks = both("here", "libc.so.6", folder=tmp_path)
    assert same(plain, clicks)
    assert plain.stdout.startswith("here\n")


def test_the_environment_counts_alike() -> None:
    preloaded = {"LD_PRELOAD": "libm.so.6", "LD_LIBRARY_PATH": "/nowhere"}
    plain, clicks = both(*FILES, environment=preloaded)
    assert same(plain, clicks)
    assert "preload:" in plain.stdout


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_names_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xc3\xa9\xff")
    (tmp_path / name).write_bytes(Path("/bin/ls").read_bytes())
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    outputs = []
    for extra in ((), THROUGH_CLICK):
        command = [PROGRAM, "deps", *extra, f"./{name}"]
        run = subprocess.run(command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, check=True)
        outputs.append((run.stdout, run.stderr))
    assert outputs[0] == outputs[1]
    assert b"libc.so.6" in outputs[0][0]
    assert (os.fsencode(name) in outputs[0][0]) == (encoding == "utf-8")


@pytest.mark.parametrize(
    ("columns", "environment"),
    [(40, {}), (200, {}), (80, {"NO_COLOR": "1"}), (80, {"COLUMNS": "50"}), (80, {"TERM": "dumb"})],
)
def test_a_terminal_shows_the_same(columns: int, environment: dict[str, str]) -> None:
    plain = on_terminal("deps", *FILES, columns=columns, environment=environment)
    clicks = on_terminal("deps", *THROUGH_CLICK, *FILES, columns=columns, environment=environment)
    assert plain == clicks
    assert ("\x1b[" in plain) == (not environment or "COLUMNS" in environment)


@pytest.mark.parametrize("extra", [(), THROUGH_CLICK])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_news(extra: tuple[str, ...], unbuffered: str) -> None:
    command = [PROGRAM, "deps", *extra, *FILES * 300]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"/bin/ls\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("extra", [(), THROUGH_CLICK])
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("count", [1, 30])
def test_a_full_disk_is_an_error(extra: tuple[str, ...], unbuffered: str, count: int) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w", encoding="ascii") as full:
        command = [PROGRAM, "deps", *extra, *["/bin/ls"] * count]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert run.returncode == 1
    assert run.stderr == "latebind: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("extra", [(), THROUGH_CLICK])
def test_an_interrupt_ends_it_as_a_shell_expects(extra: tuple[str, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "output")  # what is written there waits for us to read
    command = [PROGRAM, "deps", *extra, *FILES * 300]
    reader = os.open(tmp_path / "output", os.O_RDONLY | os.O_NONBLOCK)
    with open(tmp_path / "output", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not _readable(reader):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    os.set_blocking(reader, True)
    while os.read(reader, 1 << 16):
        pass
    os.close(reader)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "\n"


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0)[0])


def test_what_is_preloaded_is_shown_though_nothing_needs_it() -> None:
    plain, clicks = both("/bin/true", environment={"LD_PRELOAD": "libm.so.6 libc.so.6"})
    assert same(plain, clicks)
    lines = plain.stdout.splitlines()
    assert lines[1].startswith("├─ libm.so.6 → ")
    assert "[preload: " in lines[1]
    assert lines[-1] == "└─ libc.so.6 (see above)"
