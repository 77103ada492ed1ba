"""The command as a whole: help, usage errors, exit statuses, closed pipes, completion."""

from __future__ import annotations

import subprocess
import sys

import pytest

from latebind import __version__
from latebind.cli.group import VERBS
from support.command import PROGRAM, latebind


def test_the_version_is_answered_in_every_form() -> None:
    answers = [
        latebind("--version").stdout,
        latebind("--version", "--help").stdout,
        subprocess.run(
            [sys.executable, "-m", "latebind", "--version"], capture_output=True, text=True, check=True
        ).stdout,
    ]
    assert answers == [f"latebind {__version__}\n"] * 3


def test_help_names_every_verb() -> None:
    run = latebind("--help")
    assert run.returncode == 0
    for verb in VERBS:
        assert f"\n  {verb} " in run.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(verb: str) -> None:
    run = latebind(verb, "--help")
    assert run.returncode == 0
    assert run.stdout.startswith(f"Usage: latebind {verb} ")


@pytest.mark.parametrize(("arguments", "message"), [
    (["dpes"], "No such command 'dpes'; did you mean 'deps'?"),
    (["--nonsense"], "--nonsense"),
    (["deps"], "Missing argument 'FILE...'"),
    (["deps", "--jsn", "x"], "'--json'"),
])  # fmt: skip
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], message: str) -> None:
    run = latebind(*arguments)
    assert run.returncode == 2
    assert run.stdout == ""
    assert message in run.stderr


def test_no_arguments_show_the_help() -> None:
    assert "Usage: latebind [OPTIONS] COMMAND" in latebind().stderr


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{PROGRAM} inspect --symbols /lib/x86_64-linux-gnu/libc.so.6 | head -n 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1:] == ["1"]
    assert run.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_can_be_had(shell: str) -> None:
    script = latebind("completion", shell)
    assert script.returncode == 0
    assert "_LATEBIND_COMPLETE" in script.stdout


def test_bash_completes_verbs() -> None:
    environment = {"_LATEBIND_COMPLETE": "bash_complete", "COMP_WORDS": "latebind de", "COMP_CWORD": "1"}
    assert latebind(environment=environment).stdout.split() == ["plain,deps"]
