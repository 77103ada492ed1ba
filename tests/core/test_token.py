"""`_core.Token`, and what `lb_cancelled` and `lb_deadline` make of it, also with the context of an older host."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from latebind._core import Context, Token
from latebind.contracts import preamble
from support import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NONE = (1 << 63) - 1

SOURCE = f"""
{preamble()}
LB_EXPORT bool ask_cancelled(lb_context *ctx) {{ return lb_cancelled(ctx); }}
LB_EXPORT int64_t ask_deadline(lb_context *ctx) {{ return lb_deadline(ctx); }}
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """What a plugin asks with."""
    import subprocess

    folder: Path = tmp_path_factory.mktemp("token")
    (folder / "ask.c").write_text(SOURCE)
    command = [needs.program("cc", "gcc libc6-dev"), "-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "-o", "ask.so"]
    subprocess.run([*command, "ask.c"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "ask.so"))
    library.ask_cancelled.argtypes = library.ask_deadline.argtypes = [ctypes.c_void_p]
    library.ask_cancelled.restype = ctypes.c_bool
    library.ask_deadline.restype = ctypes.c_int64
    return library


def under(token: Token | None, ask: Callable[[int], object], context: Context) -> object:
    before = Token.exchange(token)
    try:
        return ask(context.address)
    finally:
        assert Token.exchange(before) is token


def test_a_plugin_sees_the_token_of_its_thread(plugin: ctypes.CDLL) -> None:
    context, token = Context(), Token(time.monotonic_ns() + 10**12)
    assert under(None, plugin.ask_deadline, context) == NONE
    assert under(token, plugin.ask_deadline, context) == token.deadline
    assert under(token, plugin.ask_cancelled, context) is False
    assert [context.cut_short] == [False]
    token.cancel()
    assert under(None, plugin.ask_cancelled, context) is False
    assert under(token, plugin.ask_cancelled, context) is True
    assert [context.cut_short] == [True]
    context.reset()
    assert [context.cut_short] == [False]


def test_a_deadline_that_has_passed_is_as_good_as_cancelled(plugin: ctypes.CDLL) -> None:
    token = Token(time.monotonic_ns())
    assert under(token, plugin.ask_cancelled, Context()) is True
    assert (token.over, token.cancelled) == (True, False)


def test_the_context_of_an_older_host_has_neither(plugin: ctypes.CDLL) -> None:
    """Fields are only ever appended, and `size` says how many there are."""
    raw = (ctypes.c_uint32 * 64)(*([0xFFFFFFFF] * 64))  # calling what lies there would end the process
    for size in (8 + 4 * 8, 8 + 4 * 8 + 7):
        raw[0] = size
        assert plugin.ask_cancelled(ctypes.addressof(raw)) is False
        assert plugin.ask_deadline(ctypes.addressof(raw)) == NONE


def test_the_end_of_a_parent_is_the_end_of_its_children() -> None:
    parent = Token(time.monotonic_ns() + 10**12)
    child, sibling = Token(parent=parent), Token(parent.deadline - 5, parent)  # type: ignore[operator]
    assert child.deadline == parent.deadline
    assert sibling.deadline == parent.deadline - 5  # type: ignore[operator]
    sibling.cancel()
    assert (child.cancelled, parent.cancelled) == (False, False)
    parent.cancel()
    assert (child.cancelled, child.over) == (True, True)


def test_each_thread_has_its_own() -> None:
    token, seen = Token(), []  # type: tuple[Token, list[Token | None]]
    before = Token.exchange(token)
    thread = threading.Thread(target=lambda: seen.append(Token.current()))
    thread.start()
    thread.join()
    assert Token.current() is token
    Token.exchange(before)
    assert seen == [None]


def test_a_thread_keeps_its_token_alive_and_lets_it_go() -> None:
    class Watched(Token):
        pass

    watched = Watched(parent=Token())
    gone = weakref.ref(watched)
    before = Token.exchange(watched)
    del watched
    gc.collect()
    assert Token.current() is gone()
    assert gone() is not None
    Token.exchange(before)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("wrong", [1, "token"])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        Token.exchange(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Token(parent=wrong)  # type: ignore[arg-type]
