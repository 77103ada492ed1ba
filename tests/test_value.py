"""`Value`: what a frozen dataclass is, without its import."""

from __future__ import annotations

import copy
import pickle

import pytest

from latebind.errors import NotFound, Tried
from latebind.search import Environment


def test_equal_fields_make_equal_values() -> None:
    assert Tried("a", "b") == Tried("a", "b") != Tried("a", "c")
    assert Tried("a", "b") != ("a", "b")
    assert len({Tried("a", "b"), Tried("a", "b"), Tried("b", "a")}) == 2


def test_it_cannot_be_changed() -> None:
    value = Tried("a", "b")
    with pytest.raises(AttributeError, match="Tried is immutable: cannot set 'path'"):
        value.path = "c"
    with pytest.raises(AttributeError, match="cannot delete"):
        del value.path
    with pytest.raises(AttributeError):
        value.other = "c"
    assert value == Tried("a", "b")


def test_it_is_shown_with_its_fields() -> None:
    assert repr(Tried("a", "b")) == "Tried(path='a', why='b')"
    assert repr(NotFound("x", None, (Tried("a", "b"),))) == (
        "NotFound(name='x', needed_by=None, tried=(Tried(path='a', why='b'),))"
    )


def test_copies_and_pickles_are_equal() -> None:
    for value in (Tried("a", "b"), Environment(library_path=("/x",), secure=True).replaced(cache=None)):
        assert pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value)  # noqa: S301  (our own)
    error = pickle.loads(pickle.dumps(NotFound("x", "y", (Tried("a", "b"),))))  # noqa: S301
    assert vars(error) == {"name": "x", "needed_by": "y", "tried": (Tried("a", "b"),)}


def test_some_fields_can_be_replaced_in_a_copy() -> None:
    environment = Environment(library_path=("/x",))
    other = environment.replaced(secure=True)
    assert (other.library_path, other.secure, environment.secure) == (("/x",), True, False)
    with pytest.raises(TypeError):
        environment.replaced(colour="red")
