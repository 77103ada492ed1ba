"""`plugin new`: what it writes builds, passes its check and its own tests, and answers, in each language."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from latebind.cli.scaffold import LANGUAGES, write_plugin
from latebind.errors import SystemFailure, Unsupported
from support import needs
from support.command import PROGRAM, latebind

KINDS = Path(__file__).parent / "kinds_contract.py"
STRICT = {
    "c": ["CFLAGS=-std=c99 -g -Wall -Wextra -Wpedantic -Werror -fPIC -fvisibility=hidden"],
    "c++": ["CXXFLAGS=-std=c++17 -g -Wall -Wextra -Werror -fPIC -fvisibility=hidden"],
    "rust": ["RUSTC={} -D warnings"],
    "python": [],
}
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


def implement(folder: Path, language: str, *contracts: str, requires: tuple[str, ...] = ()) -> list[str]:
    """Start a plugin of contracts that are there; macros that let this language's compiler fail for each warning."""
    compiler = needs.working(*TOOLS[language])
    options = [f"--contract={contract}" for contract in contracts] + [f"--requires={one}" for one in requires]
    made = latebind("plugin", "new", folder, "--id", "acme.all", "-l", language, *options)
    assert (made.returncode, made.stderr) == (0, "")
    return [macro.format(compiler) for macro in STRICT[language]]


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plugin_of_a_given_contract_builds_and_says_what_is_not_there_yet(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "all kinds"
    run = make(folder, *implement(folder, language, f"{KINDS}:Kinds"))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    called = latebind("plugin", "run", folder, "words", "late binding")
    assert (called.returncode, called.stdout) == (1, "")
    assert "acme.all 0.1.0, test.kinds.words: " in called.stderr
    assert called.stderr.endswith("words is not implemented yet\n")


def test_a_plugin_of_a_given_contract_passes_its_check_and_its_own_tests(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    run = make(folder, "check", "test", *implement(folder, "c", f"{KINDS}:Other"))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("acme.all 0.1.0 is fine:\n  provides test.other 1.0.0: nothing, shorten\n")
    assert "3 passed" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plugin_of_contracts_of_every_kind_passes_its_check_and_its_own_tests(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "all kinds"
    given = implement(folder, language, f"{KINDS}:Kinds", f"{KINDS}:Other", requires=(f"{KINDS}:HostLog",))
    run = make(folder, "check", "test", *given)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("acme.all 0.1.0 is fine:\n  provides test.kinds 1.2.0")
    assert "  provides test.other 1.0.0" in run.stdout
    assert "  test.kinds.nothing: 1 calls, 1 refused\n" in run.stdout
    assert "18 passed" in run.stdout


def test_the_contracts_file_is_copied_as_it_is(tmp_path: Path) -> None:
    implement(tmp_path / "new", "c", f"{KINDS}:Kinds")
    assert (tmp_path / "new" / "kinds_contract.py").read_bytes() == KINDS.read_bytes()
    assert not (tmp_path / "new" / "contract.py").exists()


def test_a_newer_contract_is_copied_over_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    implement(folder, "c", f"{KINDS}:Kinds")
    make(folder)
    copy = folder / KINDS.name
    text = copy.read_text(encoding="utf-8").replace('test.kinds", version="1.2.0"', 'test.kinds", version="1.3.0"')
    copy.write_text(text.replace("    def nothing(self) -> None: ...\n", "    def newest(self) -> int: ...\n", 1))
    run = make(folder, "check")
    assert run.returncode != 0
    assert "test_kinds_newest\n  expected: an exported function\n" in run.stdout
    assert "version of test.kinds\n  expected: 1.2.0 (manifest)\n  found:    1.3.0 (note)" in run.stdout


def test_what_the_contract_makes_optional_is_left_to_it(tmp_path: Path) -> None:
    implement(tmp_path / "new", "python", f"{KINDS}:Kinds")
    called = latebind("plugin", "run", tmp_path / "new", "first", "late", "BY_LENGTH")
    assert (called.returncode, called.stdout) == (0, '{"text": "late", "start": 1}\n')
    assert "    # def first(self, text: str" in (tmp_path / "new" / "plugin.py").read_text(encoding="utf-8")


def test_the_manifest_tells_what_else_the_file_has(tmp_path: Path) -> None:
    implement(tmp_path / "new", "c", f"{KINDS}:Kinds")
    manifest = (tmp_path / "new" / "plugin.yaml").read_text(encoding="utf-8")
    assert "provides:\n  - {contract: test.kinds, version: 1.2.0}\n" in manifest
    assert '\n#   - {contract: test.log, version: "^1.0.0"}\n' in manifest
    assert "test.counter" not in manifest


def test_what_the_plugin_requires_is_given_to_it(tmp_path: Path) -> None:
    implement(tmp_path / "new", "python", f"{KINDS}:Other", requires=(f"{KINDS}:HostLog",))
    source = tmp_path / "new" / "plugin.py"
    text = source.read_text(encoding="utf-8")
    unwritten = 'raise NotImplementedError("nothing is not implemented yet")'
    source.write_text(text.replace(unwritten, 'self.host_log.info("called")'), encoding="utf-8")
    called = latebind("plugin", "run", tmp_path / "new", "nothing")
    assert (called.returncode, called.stderr) == (0, "[test.log] info('called')\n")


def test_a_contract_of_an_installed_module_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "acme_sdk"
    package.mkdir(parents=True)
    shutil.copy(KINDS, package / "interfaces.py")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    folder = tmp_path / "new"
    implement(folder, "python", "acme_sdk.interfaces:Other")
    assert {path.name for path in folder.glob("*.py")} == {"plugin.py", "test_plugin.py"}
    assert "CONTRACT := acme_sdk.interfaces:Other\n" in (folder / "Makefile").read_text(encoding="utf-8")
    run = make(folder, "test")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_arguments_that_a_class_refuses_are_left_to_the_author(tmp_path: Path) -> None:
    (tmp_path / "contract.py").write_text(
        "from dataclasses import dataclass\nfrom typing import Protocol\nimport latebind\n"
        "@dataclass\nclass Even:\n    n: int\n    def __post_init__(self):\n"
        "        raise ValueError('odd')\n"
        "@latebind.contract('acme.even', version='1.0.0')\nclass Half(Protocol):\n"
        "    def halve(self, even: Even) -> int: ...\n"
    )
    implement(tmp_path / "new", "python", f"{tmp_path / 'contract.py'}:Half")
    tests = (tmp_path / "new" / "test_plugin.py").read_text(encoding="utf-8")
    assert "# halve: to be tested with other values, since Even refuses its fields: ValueError: odd" in tests
    assert "PluginError" not in tests
    run = make(tmp_path / "new", "check")
    assert run.returncode == 0, run.stdout
    assert "acme.even.halve: halve has no arguments: Even refuses its fields: ValueError: odd, 0 calls" in run.stdout


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        (["--contract=nowhere.py:Kinds"], 2, "nowhere.py cannot be imported: there is no such file"),
        ([f"--contract={KINDS}"], 2, "names no class; write FILE:CLASS"),
        ([f"--contract={KINDS}:Kind"], 2, "has no class Kind"),
        (["--contract=types.py:Kinds"], 2, "types.py cannot be imported: Python has a module of that name"),
        ([f"--contract={KINDS}:NoContract"], 2, "is not a contract"),
        ([f"--contract={KINDS}:Empty"], 1, "test.empty: it has no methods"),
        ([f"--requires={KINDS}:HostLog"], 2, "--requires goes with --contract"),
        ([f"--contract={KINDS}:Kinds", "--id=kinds"], 1, "an id is lower-case words"),
        ([f"--contract={KINDS}:Kinds", f"--contract={KINDS}:Kinds"], 1, "test.kinds: it is named twice"),
        ([f"--contract={KINDS}:HostLog", f"--requires={KINDS}:HostLog"], 1, "test.log: it is named twice"),
        ([f"--contract={KINDS}:Kinds", f"--contract={KINDS}:Cursor"], 1, "test.cursor: it is named twice, as a handle"),
        ([f"--contract={KINDS}:Kinds", f"--contract={KINDS}:Clash", "-lpython"], 1, "one class has both"),
        ([f"--contract={KINDS}:Kinds", f"--contract={KINDS}:Opener", "-lc++"], 1, "both would define its functions"),
    ],
)
def test_contracts_that_cannot_be_implemented_are_refused(
    tmp_path: Path, options: list[str], status: int, why: str
) -> None:
    (tmp_path / "types.py").write_text("")
    run = latebind("plugin", "new", tmp_path / "new", "--id", "acme.all", *options, folder=tmp_path)
    assert (run.returncode, run.stdout) == (status, "")
    assert why in " ".join(run.stderr.split())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("language", ["c", "rust"])
def test_where_no_class_implements_them_contracts_may_have_methods_of_one_name(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "new"
    run = make(folder, *implement(folder, language, f"{KINDS}:Clash", f"{KINDS}:Other"))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["plugin.py", "test_plugin.py", "my-contract.py"])
def test_a_contract_file_whose_name_would_be_taken_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copy(KINDS, tmp_path / name)
    run = latebind("plugin", "new", tmp_path / "new", "--contract", f"{tmp_path / name}:Other")
    assert run.returncode == 1
    assert "no module of a plugin can be called" in run.stderr


def test_two_contract_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(KINDS, tmp_path / name / "contract.py")
    options = [
        f"--contract={tmp_path / name / 'contract.py'}:{cls}" for name, cls in (("one", "Kinds"), ("two", "Other"))
    ]
    run = latebind("plugin", "new", tmp_path / "new", *options)
    assert run.returncode == 1
    assert "has the same name, and both would be copied" in run.stderr


def test_contracts_with_functions_of_one_name_are_refused(tmp_path: Path) -> None:
    text = "from typing import Protocol\nimport latebind\n"
    for name, identifier, method in (("First", "acme.a", "b_c"), ("Second", "acme.a_b", "c")):
        text += f"@latebind.contract('{identifier}', version='1.0.0')\nclass {name}(Protocol):\n"
        text += f"    def {method}(self) -> None: ...\n"
    (tmp_path / "contract.py").write_text(text)
    options = [f"--contract={tmp_path / 'contract.py'}:{name}" for name in ("First", "Second")]
    run = latebind("plugin", "new", tmp_path / "new", *options)
    assert run.returncode == 1
    assert "acme_a_b_c would be a function of it and of acme.a" in run.stderr


def test_a_plugin_of_a_given_contract_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    run = latebind("plugin", "new", tmp_path, "--id", "acme.all", "--contract", f"{KINDS}:Kinds")
    assert run.returncode == 1
    assert "there is something in it already" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
