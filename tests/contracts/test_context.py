"""`_core.Context`: the arena that results live in, and reading memory that may not be there."""

from __future__ import annotations

import ctypes
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind._core import Context


def put(context: Context, data: bytes) -> int:
    address = context.alloc(len(data))
    ctypes.memmove(address, data, len(data))
    return address


@given(st.lists(st.binary(max_size=9000), max_size=20))
def test_results_do_not_disturb_each_other(values: list[bytes]) -> None:
    context = Context()
    places = [(put(context, v), v) for v in values]
    assert [context.copy(at, len(v)) for at, v in places] == values
    assert all(at % 16 == 0 for at, _ in places)
    assert len({at for at, _ in places}) == len(places)


@pytest.mark.parametrize("size", [1, 16, 4096, 4097, 100000])
def test_nothing_beyond_what_was_allocated_can_be_read(size: int) -> None:
    context = Context()
    at = context.alloc(size)
    assert len(context.copy(at, size)) == size
    with pytest.raises(ValueError, match="reach beyond what lb_alloc handed out"):
        context.copy(at, size + 100000)
    with pytest.raises(ValueError, match="reach beyond"):
        context.copy(at + 1, 1 << 62)


def test_memory_of_the_process_can_be_read_where_it_is_there() -> None:
    text = ctypes.create_string_buffer(b"hello")
    assert Context().copy(ctypes.addressof(text), 5) == b"hello"


@pytest.mark.parametrize("address", [1, 4096, (1 << 47) - 4096, (1 << 64) - 1])
def test_memory_that_is_not_there_is_a_value_error(address: int) -> None:
    with pytest.raises(ValueError, match="not readable memory"):
        Context().copy(address, 16)


def test_a_range_that_ends_in_unmapped_memory_is_a_value_error() -> None:
    page = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    view = (ctypes.c_char * 1).from_buffer(page)
    address = ctypes.addressof(view)
    libc = ctypes.CDLL(None)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert libc.mprotect(address + mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0
    context = Context()
    assert len(context.copy(address, mmap.PAGESIZE)) == mmap.PAGESIZE
    with pytest.raises(ValueError, match="not readable memory"):
        context.copy(address, mmap.PAGESIZE + 1)
    assert libc.mprotect(address + mmap.PAGESIZE, mmap.PAGESIZE, 3) == 0
    del view


def test_a_reset_forgets_the_message_and_keeps_the_state() -> None:
    context = Context()
    context.state = 0xFFFF_0000_1234
    context.note("no: \N{SNOWMAN} \ud800")
    assert (context.message, context.failed) == ("no: \N{SNOWMAN} \\ud800", False)
    context.reset()
    assert (context.message, context.state) == (None, 0xFFFF_0000_1234)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=1500))
def test_a_long_message_is_cut_between_characters(text: str) -> None:
    context = Context()
    context.note(text * 3)
    assert context.message is not None
    assert (text * 3).startswith(context.message)
    assert len(context.message.encode()) > 2000 or context.message == text * 3


def test_too_much_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        Context().alloc(1 << 62)
    with pytest.raises(OverflowError):
        Context().alloc(-1)
