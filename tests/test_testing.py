"""latebind.testing: the fakes that tests of plugins use are tested themselves."""

# The contracts below are read when they are defined, so this module does without `from __future__`.

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from latebind import BuildFailed, SystemFailure, contract
from latebind.sandbox import Capability, Isolation
from latebind.testing import Recorder, compile_plugin, everything_allowed, write_headers
from support.plugins import Counter, Logger, Words


def test_a_recorder_remembers_calls_and_answers() -> None:
    fake = Recorder(Counter, add=lambda amount: amount * 2, name="fake")
    assert (fake.add(4), fake.name()) == (8, "fake")  # type: ignore[attr-defined]
    assert fake.calls == [("add", (4,)), ("name", ())]


def test_a_recorder_raises_what_it_is_told_to() -> None:
    with pytest.raises(KeyError):
        Recorder(Logger, info=KeyError("x")).info("text")  # type: ignore[attr-defined]


def test_a_recorder_without_an_answer_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no answer for find"):
        Recorder(Words).find("x")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"test\.words has no method lookup"):
        Recorder(Words, lookup=[])


@contract("test.reader", version="1.0.0")
class Reader(Protocol):
    def read(self, size: int = 1) -> bytes: ...


@contract("test.store", version="1.0.0")
class Store(Protocol):
    def open(self, name: str, *, mode: str = "r") -> Reader: ...

    def find(self, name: str) -> Reader | None: ...

    def names(self) -> Iterator[str]: ...


def test_a_recorder_fakes_handles_and_iterators() -> None:
    reader = Recorder(Reader, read=b"x")
    fake: Any = Recorder(Store, open=reader, names=["a", "b"])
    assert fake.open("n", mode="w").read(3) == b"x"
    assert (fake.find("m"), list(fake.names())) == (None, ["a", "b"])
    assert fake.calls == [("open", ("n", "w")), ("find", ("m",)), ("names", ())]
    assert reader.calls == [("read", (3,))]


def test_everything_is_allowed() -> None:
    policy = everything_allowed()
    assert policy.isolation("any.plugin") is Isolation.INLINE
    assert any(g.covers(Capability.parse("network:connect:443")) for g in policy.granted("any.plugin"))


def test_the_compilers_words_are_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "p.c").write_text('#include "test_counter.h"\nint x = ;\n')
    with pytest.raises(BuildFailed, match=r"exit status 1\n.*p\.c:2") as caught:
        compile_plugin(tmp_path / "p.c", tmp_path / "p.so", [Counter], compiler="cc -DX")
    assert caught.value.command.startswith("cc -DX -std=c99")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.c", "test_counter.h"]


def test_without_a_compiler_it_is_a_system_failure(tmp_path: Path) -> None:
    (tmp_path / "p.c").write_text("")
    with pytest.raises(SystemFailure, match="no-such-compiler"):
        compile_plugin(tmp_path / "p.c", tmp_path / "p.so", compiler="no-such-compiler")


def test_headers_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SystemFailure):
        write_headers(tmp_path / "nowhere", [Counter])
