"""`plugin run`: finds the plugin and its contract, reads arguments by their types, prints what comes."""

# The contract below is read when it is defined, so this module does without `from __future__`.

import json
import subprocess
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import pytest

from latebind import Int8, contract
from latebind.cli.arguments import MISMATCH, typed_arguments
from latebind.contracts import contract_of
from support.command import PROGRAM, latebind


class Colour(Enum):
    RED = 0
    GREEN = 1


@dataclass
class Point:
    name: str
    x: int
    weights: list[float]
    y: int = 7


@contract("test.shapes", version="1.0.0")
class Shapes(Protocol):
    def text(self, value: str) -> None: ...
    def data(self, value: bytes) -> None: ...
    def small(self, value: Int8) -> None: ...
    def real(self, value: float) -> None: ...
    def truth(self, value: bool) -> None: ...  # noqa: FBT001
    def colour(self, value: Colour) -> None: ...
    def numbers(self, value: list[int]) -> None: ...
    def words(self, value: list[str]) -> None: ...
    def point(self, value: Point) -> None: ...
    def points(self, value: list[Point]) -> None: ...
    def maybe(self, value: int | None) -> None: ...
    def several(self, first: int, second: str = "two", *, third: bool = False) -> None: ...


def typed(method: str, *texts: str, named: tuple[str, ...] = (), document: str | None = None) -> list[Any]:
    found = contract_of(Shapes)
    chosen = found.method(method)
    assert chosen is not None
    return typed_arguments(found, chosen, texts, named, document)


@pytest.mark.parametrize(
    ("method", "text", "value"),
    [
        ("text", "@late, [binding]", "@late, [binding]"),
        ("data", "größe", "größe".encode()),
        ("data", "@@x", b"@x"),
        ("small", "-5", -5),
        ("small", "0x1f", 31),
        ("real", "0.5", 0.5),
        ("real", "-inf", float("-inf")),
        ("truth", "true", True),
        ("colour", "GREEN", Colour.GREEN),
        ("numbers", "1,-2,0x3", [1, -2, 3]),
        ("numbers", "[4, 5]", [4, 5]),
        ("numbers", "", []),
        ("words", "a,b c", ["a", "b c"]),
        ("words", '["a,b"]', ["a,b"]),
        ("point", "name=a,x=1,weights=0.5,2", Point("a", 1, [0.5, 2.0])),
        ("point", "x=1,name=a, b=c,y=2,weights=", Point("a, b=c", 1, [], 2)),
        ("point", '{"name": "a", "x": 1, "weights": [2]}', Point("a", 1, [2.0])),
        ("points", '[{"name": "a", "x": 1, "weights": []}]', [Point("a", 1, [])]),
        ("maybe", "null", None),
        ("maybe", "3", 3),
    ],
)
def test_an_argument_is_read_by_its_type(method: str, text: str, value: object) -> None:
    assert typed(method, text) == [value]


@pytest.mark.parametrize(
    ("method", "text", "words"),
    [
        ("small", "128", "value: 128 "),
        ("small", "1.5", "value: expected an integer, not '1.5'"),
        ("real", "half", "value: expected a number, not 'half'"),
        ("truth", "yes", "value: expected true or false, not 'yes'"),
        ("colour", "BLUE", "value: expected one of RED, GREEN, not 'BLUE'"),
        ("numbers", "1,x", "value: expected an integer, not 'x'"),
        ("numbers", '["1"]', "value: element 0: "),
        ("numbers", "[1", "value: the list: '[1' is not JSON"),
        ("point", "a", "value: expected Point as JSON or as name=…,x=…,weights=…,y=…, not 'a'"),
        ("point", "name=a", "value: Point needs x, weights"),
        ("point", "name=a,x=b,weights=", "value: x: expected an integer, not 'b'"),
        ("point", '{"name": "a"}', "value: Point needs x"),
        ("data", "@/no/such/file", "No such file or directory: '/no/such/file'"),
    ],
)
def test_an_argument_of_another_type_is_refused_by_name(method: str, text: str, words: str) -> None:
    with pytest.raises(MISMATCH) as caught:
        typed(method, text)
    assert words in str(caught.value)


def test_arguments_come_in_their_order_by_name_or_as_one_object() -> None:
    assert typed("several", "1") == [1, "two", False]
    assert typed("several", "1", "x", named=("third=true",)) == [1, "x", True]
    assert typed("several", named=("second=a=b", "first=2")) == [2, "a=b", False]
    assert typed("several", document='{"first": 3, "third": true}') == [3, "two", True]


@pytest.mark.parametrize(
    ("texts", "named", "document", "words"),
    [
        ((), (), None, "test.shapes.several needs first"),
        (("1", "2", "3"), (), None, "takes first, second, third, not 3 arguments"),
        (("1",), ("first=2",), None, "first is given twice"),
        (("1",), ("fourth=2",), None, "--arg fourth=2: expected NAME=VALUE with the name of a parameter"),
        (("1",), ("second",), None, "--arg second: expected NAME=VALUE"),
        (("1",), (), "{}", "the arguments are given twice"),
        ((), (), "[1]", "--args: expected a JSON object"),
        ((), (), "{", "--args: '{' is not JSON"),
        ((), (), '{"first": "1"}', "parameter first: "),
    ],
)
def test_what_is_missing_or_too_much_is_told(
    texts: tuple[str, ...], named: tuple[str, ...], document: str | None, words: str
) -> None:
    with pytest.raises(MISMATCH) as caught:
        typed("several", *texts, named=named, document=document)
    assert words in str(caught.value)


def test_bytes_and_json_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"[1, 2]")
    assert typed("data", f"@{tmp_path}/data") == [b"[1, 2]"]
    assert typed("numbers", f"@{tmp_path}/data") == [[1, 2]]


CONTRACT = """
from collections.abc import Iterator
from typing import Protocol
from latebind import Handle, contract

@contract("host.clock", version="1.0.0")
class Clock(Protocol):
    def now(self, zone: str) -> int: ...

@contract("acme.opened", version="1.0.0")
class Opened(Handle, Protocol):
    def name(self) -> str: ...

@contract("acme.worker", version="1.0.0")
class Worker(Protocol):
    def upper(self, text: str) -> str: ...
    def swap(self, data: bytes) -> bytes: ...
    def half(self, number: float) -> float: ...
    def add(self, first: int, second: int = 1) -> int: ...
    def stream(self, pause: float) -> Iterator[str]: ...
    def open(self) -> Opened: ...
    def fail(self) -> None: ...
    def zone(self) -> int: ...
"""
PLUGIN = """
import time

class Worker:
    def __init__(self, context):
        from contract import Clock
        self.config, self.clock = context.config, context.service(Clock)
    def upper(self, text): return text.upper() + self.config["mark"]
    def swap(self, data): return bytes(reversed(data))
    def half(self, number): return number / 2
    def add(self, first, second): return first + second
    def stream(self, pause):
        yield "one"
        time.sleep(pause)
        yield "two"
    def open(self): return self
    def name(self): return "opened"
    def close(self): ...
    def fail(self): raise ValueError("out of order")
    def zone(self): return self.clock.now("UTC")
"""
MANIFEST = """
id: acme.worker
version: 1.0.0
entry: worker:Worker
provides: [{contract: acme.worker, version: 1.0.0}]
requires: [{contract: host.clock, version: "^1.0"}]
config:
  type: object
  properties: {mark: {type: string, default: "!"}}
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a contract, and a plugin in a folder below it."""
    root = tmp_path_factory.mktemp("run")
    (root / "contract.py").write_text(CONTRACT)
    (root / "worker").mkdir()
    (root / "worker" / "plugin.yaml").write_text(MANIFEST)
    (root / "worker" / "worker.py").write_text(PLUGIN)
    return root


def call(worker: Path, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return latebind("plugin", "run", *words, folder=worker, text=text)


def test_a_plugin_is_found_by_its_id_and_its_contract_beside_it(worker: Path) -> None:
    run = call(worker, "acme.worker", "upper", "late binding", "--config", '{"mark": "?"}')
    assert (run.returncode, run.stdout, run.stderr) == (0, "LATE BINDING?\n", "")


def test_a_plugin_is_found_in_the_folders_that_are_given(worker: Path, tmp_path: Path) -> None:
    run = latebind("plugin", "run", "-d", worker, "acme.worker", "add", "-5", folder=tmp_path)
    assert (run.returncode, run.stdout) == (0, "-4\n")
    environment = {"LATEBIND_PLUGINS": str(worker)}
    run = latebind("plugin", "run", "acme.worker", "half", "inf", folder=tmp_path, environment=environment)
    assert (run.returncode, run.stdout) == (0, "inf\n")


def test_a_plugin_that_is_nowhere_is_told_with_what_there_is(worker: Path) -> None:
    run = call(worker, "acme.walker", "upper", "x")
    assert run.returncode == 1
    assert "tried .: has acme.worker" in run.stderr


def test_bytes_go_from_standard_input_to_standard_output(worker: Path) -> None:
    assert call(worker, "worker", "swap", "@-", text="abc").stdout == "cba"
    assert json.loads(call(worker, "worker", "swap", "abc", "--json").stdout) == "Y2Jh"


def test_items_are_printed_as_they_come(worker: Path) -> None:
    command = [PROGRAM, "plugin", "run", "worker", "stream", "60"]
    with subprocess.Popen(command, cwd=worker, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = time.monotonic()
        assert process.stdout.readline() == "one\n"
        assert time.monotonic() - started < 50  # and not after the second, which comes in a minute
        process.kill()
    run = call(worker, "worker", "stream", "0", "--json")
    assert run.stdout == '"one"\n"two"\n'


def test_a_service_has_a_stand_in_that_shows_what_it_is_told(worker: Path) -> None:
    run = call(worker, "worker", "zone")
    assert (run.returncode, run.stdout, run.stderr) == (0, "0\n", "[host.clock] now('UTC') → 0\n")


def test_a_failing_plugin_is_an_exit_status_of_one(worker: Path) -> None:
    run = call(worker, "worker", "fail")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "latebind: plugin acme.worker 1.0.0, acme.worker.fail: ValueError: out of order\n"


def test_a_configuration_that_does_not_fit_is_refused(worker: Path) -> None:
    run = call(worker, "worker", "upper", "x", "--config", '{"mark": 1}')
    assert run.returncode == 1
    assert "mark" in run.stderr


def test_a_contract_that_is_given_brings_no_stand_ins(worker: Path) -> None:
    run = call(worker, "worker", "contract.py:Worker", "upper", "x")
    assert run.returncode == 1
    assert "host.clock" in run.stderr
    run = call(worker, "worker", "contract.py:Worker", "upper", "x", "--service", "contract.py:Clock")
    assert (run.returncode, run.stdout) == (0, "X!\n")


@pytest.mark.parametrize(("words", "message"), [
    (["lower", "x"], "acme.worker has no method lower; it has upper, swap, half"),
    (["contract.py:Worker"], "Missing argument 'METHOD'"),
    (["contract.py:Absent", "upper"], "contract.py has no class Absent"),
    (["contract.py:Protocol", "upper"], "is not a contract"),
    (["absent.py:Worker", "upper"], "absent.py cannot be imported: there is no such file"),
    (["contract.py", "upper"], "'contract.py' is no method; write METHOD, or FILE:CLASS METHOD"),
    (["upper"], "acme.worker.upper needs text"),
    (["upper", "a", "b"], "acme.worker.upper takes text, not 2 arguments"),
    (["add", "one"], "first: expected an integer, not 'one'"),
])  # fmt: skip
def test_a_wrong_command_line_is_a_usage_error(worker: Path, words: list[str], message: str) -> None:
    run = call(worker, "worker", *words)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr


def test_without_a_contract_beside_it_one_has_to_be_given(worker: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    for path in (worker / "worker").iterdir():
        if path.is_file():
            (tmp_path / "alone" / path.name).write_text(path.read_text())
    run = call(tmp_path, "alone", "upper", "x")
    assert run.returncode == 2
    assert "what is the contract of acme.worker 1.0.0?" in run.stderr
