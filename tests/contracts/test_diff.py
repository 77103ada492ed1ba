"""`compare`: what a change of a contract breaks, and the version that it needs."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

import enum
import types
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from latebind.contracts import Contract, contract, contract_of
from latebind.contracts.evolution import compare
from latebind.linkplan.abi import Bump

BASE = """
class Mode(enum.Enum):
    FAST = 0
    SLOW = 1

@dataclass
class Token:
    text: str
    size: int = 0

@contract("a.session", version="1.0.0")
class Session(Protocol):
    def next(self) -> int: ...

@contract("a.b", version="1.4.2")
class C(Protocol):
    '''Says.'''
    def count(self, text: str, mode: Mode = Mode.FAST) -> int:
        '''Counts.'''
    def split(self, text: str, *, limit: int | None = None) -> list[Token]: ...
    def open(self) -> Session: ...
    def twice(self, text: str) -> str:
        return text * 2
"""


def made(*changes: tuple[str, str], source: str = BASE) -> Contract:
    """The contract above with pieces of its text replaced."""
    for before, after in changes:
        assert before in source
        source = source.replace(before, after)
    module: Any = types.ModuleType("made")
    module.__dict__.update(enum=enum, dataclass=dataclass, contract=contract, Protocol=Protocol)
    import sys

    sys.modules["made"] = module
    try:
        exec(source, module.__dict__)  # noqa: S102 - our own text
    finally:
        del sys.modules["made"]
    return contract_of(module.C)


def test_the_same_contract_needs_nothing() -> None:
    found = compare(made(), made())
    assert (found.changes, found.bump, str(found.needed), found.honest) == ((), None, "1.4.2", True)


@pytest.mark.parametrize(
    ("before", "after", "place", "bump"),
    [
        ("'''Says.'''", "'''Says more.'''", "documentation", "patch"),
        ("'''Counts.'''", "'''Counts well.'''", "count: documentation", "patch"),
        ("    def open(self) -> Session: ...\n", "", "open", "major"),
        ("    def open", "    def close(self) -> None: ...\n    def open", "close", "minor"),
        ("count(self, text: str,", "count(self, text: bytes,", "count()", "major"),
        ("count(self, text: str,", "count(self, words: str,", "count()", "major"),
        ("mode: Mode = Mode.FAST)", "mode: Mode = Mode.FAST, more: int = 3)", "count()", "major"),
        ("mode: Mode = Mode.FAST)", "mode: Mode = Mode.SLOW)", "count(mode)", "minor"),
        ("mode: Mode = Mode.FAST)", "mode: Mode)", "count(mode)", "major"),
        ("twice(self, text: str)", "twice(self, text: str = '')", "twice(text)", "minor"),
        (", *, limit", ", limit", "split(limit)", "major"),
        ("-> int:", "-> float:", "count → result", "major"),
        ("-> list[Token]", "-> list[str]", "split → result", "major"),
        ("return text * 2", "...", "twice", "major"),
        ("-> Session: ...", "-> Session:\n        return self.open()", "open", "minor"),
        ("    SLOW = 1", "    SLOW = 1\n    BOTH = 2", "Mode.BOTH", "minor"),
        ("    SLOW = 1\n", "", "Mode.SLOW", "major"),
        ("SLOW = 1", "SLOW = 2", "Mode.SLOW", "major"),
        ("size: int = 0", "size: int = 0\n    more: int = 0", "Token.more", "major"),
        ("size: int = 0", "size: float = 0", "Token.size", "major"),
        ("    text: str\n    size: int = 0", "    size: int\n    text: str", "Token", "major"),
        ("size: int = 0", "size: int = 1", "Token.size", "minor"),
        ("def next(self) -> int: ...", "def next(self) -> str: ...", "a.session/next → result", "major"),
        ("def next(self) -> int: ...", "def next(self) -> int: ...\n    def peek(self) -> int: ...",
         "a.session/peek", "minor"),
        ('a.session", version="1.0.0"', 'a.session", version="2.0.0"', "open → result", "major"),
        ('"a.b"', '"a.c"', "id", "major"),
    ],
)  # fmt: skip
def test_a_change_has_its_place_and_its_bump(before: str, after: str, place: str, bump: str) -> None:
    found = compare(made(), made((before, after)))
    assert (place, bump) in [(c.place, str(c.bump)) for c in found.changes]
    assert found.bump == bump
    assert str(found.needed) == {"patch": "1.4.3", "minor": "1.5.0", "major": "2.0.0"}[bump]
    assert not found.honest


def test_the_largest_change_counts() -> None:
    found = compare(made(), made(("'''Says.'''", "''"), ("SLOW = 1", "SLOW = 1\n    BOTH = 2")))
    assert found.bump is Bump.MINOR


@pytest.mark.parametrize(
    ("old", "new", "breaking", "honest"),
    [
        ("1.4.2", "2.0.0", True, True), ("1.4.2", "1.5.0", True, False), ("1.4.2", "2.0.0-rc.1", True, True),
        ("0.4.2", "0.5.0", True, True), ("0.4.2", "0.4.3", True, False), ("0.4.2", "0.4.3", False, True),
        ("1.4.2", "1.5.0", False, True), ("1.4.2", "1.4.3", False, False),
    ],
)  # fmt: skip
def test_whether_a_version_lies(old: str, new: str, breaking: bool, honest: bool) -> None:  # noqa: FBT001
    change = ("SLOW = 1", "SLOW = 2") if breaking else ("SLOW = 1", "SLOW = 1\n    BOTH = 2")
    before, after = made(("1.4.2", old)), made(("1.4.2", new), change)
    assert compare(before, after).honest == honest
