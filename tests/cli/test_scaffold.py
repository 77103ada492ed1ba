"""`plugin new`: what it writes builds, passes its check and its own tests, and answers, in each language."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from latebind.cli.scaffold import LANGUAGES, write_plugin
from latebind.errors import SystemFailure, Unsupported
from support import needs
from support.command import PROGRAM, latebind

TOOLS = {"c": ("cc", "gcc libc6-dev"), "c++": ("g++", "g++"), "rust": ("rustc", "rustc"), "python": ("make", "make")}


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    command = [needs.program("make", "make"), "-s", "--no-print-directory", "-C", str(folder), *targets]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def new(folder: Path, language: str) -> list[str]:
    """Start a plugin; the macros that make needs where this language's compiler is not the first on the path."""
    compiler = needs.working(*TOOLS[language])
    made = latebind("plugin", "new", folder, "--id", "acme.warm_greeter", "-l", language)
    assert made.returncode == 0, made.stderr
    assert f"next: make -C '{folder}' check test run" in made.stdout
    return [f"RUSTC={compiler}"] if language == "rust" else []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_plugin_builds_and_answers(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "a greeter"
    run = make(folder, "run", *new(folder, language))
    assert (run.returncode, run.stdout, run.stderr) == (0, "Hello, world\n", "")


@pytest.mark.parametrize(
    "language", ["c", *(pytest.param(x, marks=pytest.mark.slow) for x in ("c++", "rust", "python"))]
)
def test_a_new_plugin_passes_its_check_and_its_own_tests(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "a greeter"
    run = make(folder, "check", "test", *new(folder, language))
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("acme.warm_greeter 0.1.0 is fine:\n  provides acme.warm_greeter 0.1.0")
    assert "as declared\n" in run.stdout
    assert "  acme.warm_greeter.greet: 7 calls\n" in run.stdout
    assert "3 passed" in run.stdout


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_placeholder_is_filled(tmp_path: Path, language: str) -> None:
    for path in write_plugin(str(tmp_path / "new"), "acme.greeter", language):
        assert "@" not in Path(path).read_text(encoding="utf-8").replace("@latebind.", "").replace(
            "@pytest.", ""
        ).replace("-o $@ ", "")


def test_the_id_is_made_of_the_folder_unless_it_is_given(tmp_path: Path) -> None:
    assert latebind("plugin", "new", tmp_path / "My-Plugin", "-l", "python").returncode == 0
    assert "id: example.my_plugin\n" in (tmp_path / "My-Plugin" / "plugin.yaml").read_text()


def test_a_new_plugin_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    run = latebind("plugin", "new", tmp_path, "--id", "acme.greeter")
    assert run.returncode == 1
    assert "there is something in it already" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_plugin(str(tmp_path), "acme.greeter")
    assert (tmp_path / "plugin.c").exists()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("identifier", ["Greeter", "greeter", "acme.", "acme.1st", "acme..x", "acme.größe", "acme.a/b"])
def test_an_id_is_lower_case_words_with_dots(tmp_path: Path, identifier: str, language: str) -> None:
    with pytest.raises(Unsupported, match="lower-case words with dots"):
        write_plugin(str(tmp_path / "x"), identifier, language)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("identifier", "language", "why"),
    [
        ("acme.none", "c", "None is a word of Python"),
        ("acme.class", "c++", "class is a word of C\\+\\+"),
        ("delete.all", "c++", "delete is a word of C\\+\\+"),
    ],
)
def test_an_id_that_would_be_a_keyword_is_refused(tmp_path: Path, identifier: str, language: str, why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        write_plugin(str(tmp_path / "x"), identifier, language)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFailure, match="Not a directory"):
        write_plugin(str(tmp_path / "file" / "new"), "acme.greeter")


def test_what_was_written_goes_when_the_rest_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.open

    def full(path: str, *args: object, **kwargs: object) -> object:
        if str(path).endswith("Makefile"):
            raise OSError(28, "No space left on device")
        return real(path, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(SystemFailure, match="No space left"):
        write_plugin(str(tmp_path / "new"), "acme.greeter")
    monkeypatch.undo()
    assert not (tmp_path / "new").exists()
