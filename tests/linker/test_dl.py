"""The dl API under its POSIX names."""

from __future__ import annotations

import threading

import pytest

from latebind import dl


@pytest.fixture(autouse=True)
def no_error_left() -> None:
    dl.dlerror()


def test_open_look_up_close() -> None:
    handle = dl.dlopen("libz.so.1", dl.RTLD_LAZY)
    assert handle is not None
    address = dl.dlsym(handle, "crc32")
    assert address == handle.symbol("crc32")
    assert dl.dlerror() is None
    assert dl.dlclose(handle) == 0


def test_failures_are_told_once_by_dlerror() -> None:
    assert dl.dlopen("libnope.so.9", dl.RTLD_NOW) is None
    text = dl.dlerror()
    assert text is not None
    assert "libnope.so.9" in text
    assert dl.dlerror() is None


def test_a_missing_symbol_and_a_closed_handle() -> None:
    handle = dl.dlopen("libz.so.1", dl.RTLD_NOW)
    assert handle is not None
    assert dl.dlsym(handle, "no_such_function") is None
    assert "no_such_function" in (dl.dlerror() or "")
    assert dl.dlvsym(handle, "crc32", "NOPE_1") is None
    assert dl.dlclose(handle) == 0
    assert dl.dlclose(handle) == 1
    assert "closed" in (dl.dlerror() or "")


def test_a_mode_without_lazy_or_now_is_invalid() -> None:
    assert dl.dlopen("libz.so.1", dl.RTLD_GLOBAL) is None
    assert "invalid mode" in (dl.dlerror() or "")


def test_the_program_itself_sees_the_c_library() -> None:
    handle = dl.dlopen(None, dl.RTLD_NOW)
    assert handle is not None
    assert dl.dlsym(handle, "malloc")
    dl.dlclose(handle)


def test_errors_are_each_threads_own() -> None:
    dl.dlopen("libnope.so.9", dl.RTLD_NOW)
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(dl.dlerror()))
    thread.start()
    thread.join()
    assert seen == [None]
    assert dl.dlerror() is not None
