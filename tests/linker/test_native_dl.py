"""Code that we loaded and that calls dlopen and its relatives in C gets our linker, with the system's semantics."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from support.machine import HERE

if TYPE_CHECKING:
    from support.compiler import Compiler

HOST = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>
void *open_it(const char *file, int mode) { return dlopen(file, mode); }
void *find_it(void *handle, const char *name) { return dlsym(handle, name); }
void *find_version(void *handle, const char *name, const char *version) { return dlvsym(handle, name, version); }
void *find_default(const char *name) { return dlsym(RTLD_DEFAULT, name); }
void *find_next(const char *name) { return dlsym(RTLD_NEXT, name); }
int close_it(void *handle) { return dlclose(handle); }
const char *error(void) { return dlerror(); }
int call(void *function) { return ((int (*)(void))function)(); }
void *open_new(const char *file, int mode) { return dlmopen(LM_ID_NEWLM, file, mode); }
long list_of(void *handle) { Lmid_t id = -5; return dlinfo(handle, RTLD_DI_LMID, &id) == 0 ? id : -9; }
const char *origin(void *handle) { static char text[4096]; return dlinfo(handle, RTLD_DI_ORIGIN, text) ? 0 : text; }
const char *map_name(void *handle) { return ((struct link_map *)handle)->l_name; }
int bad_request(void *handle) { char text[64]; return dlinfo(handle, 77, text); }
"""
PLUGIN = "static int n; int next(void) { return ++n; } int only_here(void) { return 77; }"


class Host:
    """A library that loads others in C."""

    def __init__(self, cc: Compiler, *, flags: tuple[str, ...] = (), name: str = "libhost.so") -> None:
        self.space = lb.Namespace()
        self.library = lb.load(cc.shared(HOST, name=name, flags=flags), namespace=self.space)

    def open(self, file: str | Path | None, mode: int = lb.dl.RTLD_NOW) -> int | None:
        return self.call("void *open_it(const char *, int)", None if file is None else str(file).encode(), mode)

    def call(self, prototype: str, *arguments: object) -> int | None:
        result = self.library.function(prototype)(*arguments)
        assert result is None or isinstance(result, int)
        return result

    def find(self, handle: int | None, name: bytes) -> int | None:
        return self.call("void *find_it(void *, const char *)", handle, name)

    def run(self, address: int | None) -> int | None:
        return self.call("int call(void *)", address)

    def close(self, handle: int | None) -> int | None:
        return self.call("int close_it(void *)", handle)

    def error(self) -> str | None:
        text: bytes | None = self.library.function("const char *error(void)")()
        return text.decode() if text is not None else None


def is_mapped(path: Path) -> bool:
    return any(str(path) in line and " r-xp " in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_open_find_call_close(cc: Compiler) -> None:
    host, path = Host(cc), cc.shared(PLUGIN, name="libplugin.so")
    handle = host.open(path)
    assert handle is not None
    assert str(path) in host.space.objects  # ours, in the caller's namespace
    assert host.run(host.find(handle, b"next")) == 1
    assert host.close(handle) == 0
    assert not is_mapped(path)
    assert host.error() is None
    host.library.close()
    assert host.space.objects == ()


def test_a_handle_is_counted_and_the_same_for_one_library(cc: Compiler) -> None:
    host, path = Host(cc), cc.shared(PLUGIN, name="libplugin.so")
    first, second = host.open(path), host.open(path, lb.dl.RTLD_LAZY)
    assert first == second
    assert host.close(first) == 0
    assert host.run(host.find(second, b"next")) == 1
    assert host.close(second) == 0
    assert not is_mapped(path)


def test_errors_are_told_once_by_dlerror(cc: Compiler) -> None:
    host, path = Host(cc), cc.shared(PLUGIN, name="libplugin.so")
    assert host.open("/nowhere/libnope.so") is None
    assert "/nowhere/libnope.so" in str(host.error())
    assert host.error() is None
    handle = host.open(path)
    assert host.find(handle, b"nothing") is None
    assert "nothing" in str(host.error())
    assert host.open(path, 0) is None
    assert "RTLD_NOW" in str(host.error())
    assert host.call("int bad_request(void *)", handle) == -1
    assert "unsupported" in str(host.error())
    host.close(handle)


def test_a_library_of_the_system_gets_the_systems_handle(cc: Compiler) -> None:
    host = Host(cc)
    handle = host.open("libm.so.6")
    cos = host.find(handle, b"cos")
    assert cos == ctypes.cast(ctypes.CDLL("libm.so.6").cos, ctypes.c_void_p).value
    version = "void *find_version(void *, const char *, const char *)"
    assert host.call(version, handle, b"cos", HERE.first_version.encode()) == cos
    assert host.close(handle) == 0
    assert host.open(None) is not None


def test_default_and_next_start_where_they_should(cc: Compiler, tmp_path: Path) -> None:
    cc.shared('const char *who(void) { return "below"; } int below(void) { return 1; }', name="libbelow.so")
    link = ("-Wl,--no-as-needed", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lbelow")
    source = HOST.replace("#include <string.h>", 'const char *who(void) { return "host"; }')
    with lb.load(cc.shared(source, name="libhost.so", flags=link), namespace=lb.Namespace()) as library:
        find_default = library.function("void *find_default(const char *)")
        find_next = library.function("void *find_next(const char *)")
        assert find_default(b"who") == library.symbol("who")
        below = find_next(b"who")
        assert below is not None
        assert ctypes.CFUNCTYPE(ctypes.c_char_p)(below)() == b"below"
        assert find_next(b"below") == find_default(b"below")
        assert find_default(b"nobody") is None
        malloc = ctypes.cast(ctypes.CDLL("libc.so.6").malloc, ctypes.c_void_p).value
        assert find_default(b"malloc") == malloc
        assert find_default(b"dlopen") not in (
            None,
            ctypes.cast(ctypes.CDLL("libc.so.6").dlopen, ctypes.c_void_p).value,
        )


def test_noload_nodelete_and_global(cc: Compiler) -> None:
    host, path = Host(cc), cc.shared(PLUGIN, name="libplugin.so")
    assert host.open(path, lb.dl.RTLD_NOW | lb.dl.RTLD_NOLOAD) is None
    assert "NOLOAD" in str(host.error())
    handle = host.open(path)
    assert host.open(path, lb.dl.RTLD_NOW | lb.dl.RTLD_NOLOAD) == handle
    assert host.call("void *find_default(const char *)", b"only_here") is None
    assert host.open(path, lb.dl.RTLD_NOW | lb.dl.RTLD_GLOBAL) == handle  # promotes it
    assert host.run(host.call("void *find_default(const char *)", b"only_here")) == 77
    assert host.open(path, lb.dl.RTLD_NOW | lb.dl.RTLD_NODELETE) == handle
    for _ in range(4):
        assert host.close(handle) == 0
    assert is_mapped(path)
    assert host.close(handle) == -1
    assert "not open" in str(host.error())


def test_deep_binding_prefers_its_own(cc: Compiler) -> None:
    outer = cc.shared('const char *who(void) { return "global"; }', name="libouter.so")
    text = 'const char *who(void) { return "own"; } const char *ask(void) { return who(); }'
    inner = cc.shared(text, name="libinner.so")
    space = lb.Namespace()
    with lb.load(outer, namespace=space, scope="global"):
        for mode, expected in ((0, b"global"), (lb.dl.RTLD_DEEPBIND, b"own")):
            library = lb.dl.dlmopen(space, str(inner), lb.dl.RTLD_NOW | mode)
            assert library is not None
            assert library.function("const char *ask(void)")() == expected
            lb.dl.dlclose(library)


def test_names_are_searched_for_as_the_caller_says(cc: Compiler, tmp_path: Path) -> None:
    """The caller's DT_RUNPATH and its folder as $ORIGIN, as dlopen(3) says."""
    cc.shared(PLUGIN, name="plugins/libdeep.so")
    host = Host(cc, flags=("-Wl,-rpath,$ORIGIN/plugins", "-Wl,--enable-new-dtags"))
    by_name, by_origin = host.open("libdeep.so"), host.open("$ORIGIN/plugins/libdeep.so")
    assert by_name is not None
    assert by_name == by_origin
    origin = host.library.function("const char *origin(void *)")(by_name)
    assert origin == str(tmp_path / "plugins").encode()
    name = host.library.function("const char *map_name(void *)")(by_name)
    assert name == str(tmp_path / "plugins/libdeep.so").encode()


def test_a_new_namespace(cc: Compiler) -> None:
    host, path = Host(cc), cc.shared(PLUGIN, name="libplugin.so")
    here = host.open(path)
    there = host.call("void *open_new(const char *, int)", str(path).encode(), lb.dl.RTLD_NOW)
    assert there not in (None, here)
    assert host.run(host.find(here, b"next")) == 1
    assert host.run(host.find(there, b"next")) == 1
    ids = [host.call("long list_of(void *)", h) for h in (here, there)]
    assert len(set(ids)) == 2
    assert host.close(there) == 0
    assert host.close(here) == 0
    assert not is_mapped(path)


def test_a_constructor_opens_and_a_destructor_closes_a_plugin(cc: Compiler) -> None:
    plugin = cc.shared(PLUGIN, name="libplugin.so")
    text = f"""
        #include <dlfcn.h>
        static void *handle;
        __attribute__((constructor)) static void begin(void) {{ handle = dlopen("{plugin}", RTLD_NOW); }}
        __attribute__((destructor)) static void end(void) {{ dlclose(handle); }}
        int ask(void) {{ return ((int (*)(void))dlsym(handle, "next"))(); }}"""
    library = lb.load(cc.shared(text, name="libowner.so"), namespace=lb.Namespace())
    assert library.function("int ask(void)")() == 1
    library.close()
    assert not is_mapped(plugin)


def test_a_thread_local_variables_address_is_the_threads(cc: Compiler) -> None:
    host = Host(cc)
    path = cc.shared("__thread int v = 5; int *where(void) { return &v; }", name="libtls.so")
    handle = host.open(path)
    address = host.find(handle, b"v")
    where = host.find(handle, b"where")
    assert where is not None
    assert address == ctypes.CFUNCTYPE(ctypes.c_void_p)(where)()


def test_the_python_side_has_the_same_flags(cc: Compiler) -> None:
    dl, path = lb.dl, str(cc.shared(PLUGIN, name="libplugin.so"))
    assert dl.dlopen(path, dl.RTLD_NOW | dl.RTLD_NOLOAD) is None
    library = dl.dlopen(path, dl.RTLD_NOW)
    assert library is not None
    address = dl.dlsym(library, "next")
    assert address is not None
    found = dl.dladdr(address)
    assert found == dl.DlInfo(path, library.base, "next", address)
    assert dl.dladdr(address + 1) == found
    assert dl.dlinfo(library, dl.RTLD_DI_ORIGIN) == str(cc.folder)
    assert dl.dlinfo(library, dl.RTLD_DI_LMID) is lb.this_process()
    assert dl.dlinfo(library, dl.RTLD_DI_TLS_MODID) == 0
    assert dl.dlinfo(library, dl.RTLD_DI_PHDR) == lb.read(path).segments
    assert dl.dlinfo(library, 99) is None
    assert "99" in str(dl.dlerror())
    assert dl.dlsym(dl.RTLD_DEFAULT, "next") is None
    assert dl.dlsym(dl.RTLD_DEFAULT, "malloc") == dl.dlsym(dl.RTLD_NEXT, "malloc")
    other = dl.dlmopen(dl.LM_ID_NEWLM, path, dl.RTLD_NOW)
    assert other is not None
    assert other.base != library.base
    dl.dlclose(other)
    dl.dlclose(library)
    assert dl.dladdr(address) is None


@pytest.mark.parametrize("where", [0, -1])
def test_default_and_next_are_no_libraries(where: int) -> None:
    assert lb.dl.dlsym(where, "no_such_symbol_anywhere") is None
    assert "no_such_symbol_anywhere" in str(lb.dl.dlerror())


def test_a_search_path_that_does_not_fit_is_refused(cc: Compiler) -> None:
    """As C must: the room is what RTLD_DI_SERINFOSIZE said before, and LD_LIBRARY_PATH may have grown since."""
    text = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdlib.h>
        long path(void *handle, int less, int fewer)
        {
            Dl_serinfo size, *info;
            if (dlinfo(handle, RTLD_DI_SERINFOSIZE, &size)) return -2;
            info = malloc(size.dls_size);
            info->dls_size = size.dls_size - less, info->dls_cnt = size.dls_cnt + fewer;
            int result = dlinfo(handle, RTLD_DI_SERINFO, info);
            free(info);
            return result < 0 ? -1 : (long)size.dls_size;
        }
    """
    path = str(cc.shared(PLUGIN, name="libplugin.so"))
    with lb.load(cc.shared(text, name="libasks.so")) as asks, lb.load(path) as library:
        ask = asks.function("long path(void *, int, int)")
        told = lb.dl.dlinfo(library, lb.dl.RTLD_DI_SERINFO)
        assert isinstance(told, lb.dl.SearchInfo)
        assert told.count == len(told.path) > 3
        assert ask(library.handle, 0, 0) == told.size
        assert ask(library.handle, 1, 0) == -1
        assert ask(library.handle, 0, 1) == -1
        assert lb.dl.dlinfo(library, lb.dl.RTLD_DI_SERINFOSIZE) == lb.dl.SearchInfo(told.size, told.count, ())
