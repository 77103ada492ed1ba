"""Handles and iterators in the other direction: a service of the host answers them to a plugin in C."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from latebind import Host, NotProvided, PluginError, UnresolvedSymbol
from latebind.contracts import Handle, contract
from latebind.testing import everything_allowed
from support.plugins import PluginFolder


@contract("host.file", version="1.0.0")
class File(Handle, Protocol):
    def read(self, size: int) -> bytes: ...

    def lines(self) -> Iterator[str]: ...


@contract("host.files", version="1.0.0")
class Files(Protocol):
    def open(self, name: str) -> File | None: ...

    def names(self) -> Iterator[str]: ...


@contract("test.reader", version="1.0.0")
class Reader(Protocol):
    def read(self, name: str, how: int) -> bytes: ...

    def names(self, how: int) -> list[str]: ...


SOURCE = r"""
#include "host_files.h"
#include "test_reader.h"
LATEBIND_PLUGIN("test.reader", "1.0.0")
LATEBIND_PROVIDES(test_reader)
LATEBIND_REQUIRES(host_files)

lb_status test_reader_read(lb_context *ctx, lb_str name, int64_t how, lb_bytes *result)
{
    host_file *file, *other = (host_file *)(uintptr_t)48;
    host_file_lines_iterator *lines;
    lb_str line;
    lb_status status = host_files_open(ctx, name, &file);

    if (status)
        return status;
    if (!file)
        return lb_fail(ctx, "there is no %.*s", (int)name.size, name.data);
    switch (how) {
    case 1: return host_file_read(ctx, other, 1, result);               /* a handle of nothing */
    case 2: return host_file_lines_close(ctx, (void *)file);            /* a handle of another type */
    case 3: return host_file_read(ctx, 0, 1, result);
    case 4: host_file_close(ctx, file); return host_file_read(ctx, file, 1, result);
    case 5: host_file_close(ctx, file); return host_file_close(ctx, file);
    case 6: result->size = 0; return LB_OK;                             /* leaves it open */
    case 7:
        if (host_file_lines(ctx, file, &lines) || host_file_lines_next(ctx, lines, &line))
            return LB_FAILED;
        host_file_lines_close(ctx, lines);
        result->data = (const uint8_t *)line.data, result->size = line.size;
        return host_file_close(ctx, file);
    }
    status = host_file_read(ctx, file, 4, result);
    host_file_close(ctx, file);
    return status;
}

lb_status test_reader_names(lb_context *ctx, int64_t how, lb_list_str *result)
{
    lb_str *names = lb_alloc_array(ctx, 100, sizeof *names);
    host_files_names_iterator *found;
    lb_status status = host_files_names(ctx, &found);
    size_t count = 0;

    if (status)
        return status;
    while (!(status = host_files_names_next(ctx, found, &names[count])) && ++count < (size_t)how)
        ;
    if (status != LB_END && status != LB_OK)
        return status;
    result->data = names, result->size = count;
    return how == 99 ? LB_OK : host_files_names_close(ctx, found);
}
"""
MANIFEST: dict[str, Any] = {
    "provides": [{"contract": "test.reader", "version": "1.0.0"}],
    "requires": [{"contract": "host.files", "version": "^1.0"}],
}


class FakeFile:
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, 0

    def read(self, size: int) -> bytes:
        return self.name.encode()[:size]

    def lines(self) -> list[str]:
        return [self.name.upper()]

    def close(self) -> None:
        self.closed += 1


class FakeFiles:
    def __init__(self) -> None:
        self.files: list[FakeFile] = []
        self.ended = 0
        self.wrong: object = None

    def open(self, name: str) -> object:
        if name == "absent":
            return None
        if name == "wrong":
            return 3
        self.files.append(FakeFile(name))
        return self.files[-1]

    def names(self) -> Iterator[Any]:
        try:
            yield "a"
            if self.wrong is not None:
                yield self.wrong
            yield "b"
        finally:
            self.ended += 1


@pytest.fixture
def files() -> FakeFiles:
    return FakeFiles()


@pytest.fixture
def host(plugins: PluginFolder, files: FakeFiles) -> Iterator[Host]:
    plugins.add("test.reader", SOURCE, contracts=(Reader, Files), **MANIFEST)
    with Host(everything_allowed(), {Files: files}, contracts=[Reader]) as made:
        made.discover(plugins.root)
        made.load("test.reader")
        yield made


def test_the_plugin_uses_a_handle_of_the_host(host: Host, files: FakeFiles) -> None:
    reader = host.get(Reader)
    assert reader.read("letter", 0) == b"lett"
    assert reader.read("letter", 7) == b"LETTER"
    assert [f.closed for f in files.files] == [1, 1]


def test_the_plugin_pulls_an_iterator_of_the_host(host: Host, files: FakeFiles) -> None:
    assert host.get(Reader).names(50) == ["a", "b"]
    assert host.get(Reader).names(1) == ["a"]
    assert files.ended == 2


def test_no_handle_where_none_is_allowed(host: Host) -> None:
    with pytest.raises(PluginError, match="there is no absent"):
        host.get(Reader).read("absent", 0)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (1, r"host\.file\.read: ValueError: 0x30 is no open host_file"),
        (2, r"host\.file\.lines_close: ValueError: 0x10 is no open host_file_lines_iterator"),
        (3, "0x0 is no open host_file"),
        (4, "is no open host_file"),
        (5, r"host\.file\.close: ValueError"),
    ],
)
def test_a_wrong_handle_from_the_plugin_is_an_error(host: Host, how: int, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        host.get(Reader).read("x", how)
    assert host.get(Reader).read("letter", 0) == b"lett"


def test_a_service_must_answer_what_its_contract_says(host: Host, files: FakeFiles) -> None:
    with pytest.raises(PluginError, match="expected a host.file, not int: it has no read, lines"):
        host.get(Reader).read("wrong", 0)
    files.wrong = 3
    with pytest.raises(PluginError, match="names_next: TypeError: expected str, not int"):
        host.get(Reader).names(50)


def test_what_the_plugin_leaves_open_is_closed_with_it(host: Host, files: FakeFiles) -> None:
    reader = host.get(Reader)
    assert reader.read("left", 6) == b""
    assert reader.names(99) == ["a", "b"]
    assert files.files[0].closed == 0
    assert host.unload("test.reader") == ()
    assert files.files[0].closed == 1


def test_the_functions_of_an_absent_services_handles_are_bound_too(plugins: PluginFolder) -> None:
    requires = [{"contract": "host.files", "version": "^1.0", "optional": True}]
    plugins.add("test.reader", SOURCE, contracts=(Reader, Files), **{**MANIFEST, "requires": requires})
    with Host(everything_allowed(), contracts=[Reader]) as host:
        host.discover(plugins.root)
        host.load("test.reader")
        with pytest.raises(NotProvided, match="host_files_open belongs to an optional service"):
            host.get(Reader).read("x", 0)


def test_a_function_that_the_service_lacks_is_refused_before_loading(plugins: PluginFolder, files: FakeFiles) -> None:
    source = SOURCE.replace("host_file_lines(", "host_files_lines(").replace(
        "LATEBIND_REQUIRES(host_files)", "lb_status host_files_lines(lb_context *, host_file *, void *);"
    )
    plugins.add("test.reader", source, contracts=(Reader, Files), **MANIFEST)
    with Host(everything_allowed(), {Files: files}, contracts=[Reader]) as host:
        host.discover(plugins.root)
        with pytest.raises(UnresolvedSymbol, match="host_files_lines"):
            host.load("test.reader")
