"""What the core asks of the system's own linker."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import _core
from support.plans import File

if TYPE_CHECKING:
    from support.compiler import Compiler


def test_open_symbol_and_close(cc: Compiler) -> None:
    path = cc.shared("int answer = 42; int ask(void) { return answer; }")
    handle = _core.system_open(str(path))
    at = _core.system_symbol(handle, "ask", None)
    assert at is not None
    assert ctypes.CFUNCTYPE(ctypes.c_int)(at)() == 42
    assert _core.system_symbol(handle, "tell", None) is None
    assert any(entry[0] == str(path) for entry in _core.link_map())
    _core.system_close(handle)
    assert not any(entry[0] == str(path) for entry in _core.link_map())


def test_symbols_with_versions() -> None:
    dlvsym = ctypes.CDLL(None).dlvsym
    dlvsym.restype, dlvsym.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    for version in ("GLIBC_2.2.5", "GLIBC_2.14"):
        assert _core.system_symbol(0, "memcpy", version) == dlvsym(None, b"memcpy", version.encode())
    assert _core.system_symbol(0, "memcpy", "GLIBC_9") is None


def test_a_library_that_is_not_there() -> None:
    with pytest.raises(_core.ExecuteError, match="libnowhere") as caught:
        _core.system_open("libnowhere.so.1")
    e = caught.value
    assert (e.code, e.object, e.symbol, e.offset, e.errno) == ("system", -1, -1, 0, 0)
    assert "libnowhere.so.1: cannot open shared object file" in e.detail


def test_the_link_map_is_the_processs() -> None:
    entries = _core.link_map()
    assert entries[0][0] == ""  # the program
    program = File(Path(os.readlink("/proc/self/exe")).read_bytes()).segment(2)
    assert program is not None
    assert entries[0][2] == entries[0][1] + program.address
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    for path, base, dynamic, *_ in entries[1:]:
        assert dynamic > base
        assert not path.startswith("/") or os.path.realpath(path) in mapped


def test_resolvers_are_only_called_in_code() -> None:
    data = ctypes.create_string_buffer(b"\xc3" * 16)
    with pytest.raises(ValueError, match="not an address in executable memory"):
        _core.call_resolver(ctypes.addressof(data))
    getpid = _core.system_symbol(0, "getpid", None)
    assert getpid is not None
    assert _core.call_resolver(getpid) == os.getpid()
