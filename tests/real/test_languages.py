"""Whole interpreters and frameworks inside our process: Lua, Tcl, Duktape, Python itself, Qt, event loops."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zlib

import pytest

from real.calls import callback, work_with
from support import needs


@pytest.mark.slow
def test_lua_calls_python_and_raises() -> None:
    """Errors travel by longjmp inside Lua."""
    with work_with("liblua5.4.so.0", "liblua5.4-0", """
        void *luaL_newstate(void)
        void luaL_openlibs(void *)
        void lua_pushcclosure(void *, int (*f)(void *), int)
        void lua_setglobal(void *, const char *)
        int luaL_loadstring(void *, const char *)
        int lua_pcallk(void *, int, int, int, long, void *)
        const char *lua_tolstring(void *, int, void *)
        double lua_tonumberx(void *, int, void *)
        void lua_pushnumber(void *, double)
        void lua_settop(void *, int)
        void lua_close(void *)
    """) as lua:  # fmt: skip
        state = lua.luaL_newstate()
        lua.luaL_openlibs(state)

        def twice(at: int) -> int:
            lua.lua_pushnumber(at, 2 * lua.lua_tonumberx(at, 1, None))
            return 1

        function = callback("int twice(void *)", twice)
        lua.lua_pushcclosure(state, function, 0)
        lua.lua_setglobal(state, "twice")
        script = "local t = {} for i = 1, 100 do t[i] = twice(i) end table.sort(t, function(a, b) return a > b end) "
        assert lua.luaL_loadstring(state, script + "return string.format('%d %s', t[1], ('x'):rep(3))") == 0
        assert lua.lua_pcallk(state, 0, 1, 0, 0, None) == 0
        assert lua.lua_tolstring(state, -1, None) == b"200 xxx"
        assert lua.luaL_loadstring(state, "error('from lua')") == 0
        assert lua.lua_pcallk(state, 0, 0, 0, 0, None) == 2
        assert lua.lua_tolstring(state, -1, None).endswith(b"from lua")
        lua.lua_close(state)


@pytest.mark.slow
def test_many_luas() -> None:
    """Forty copies, each in a namespace of its own."""
    names = """
        void *luaL_newstate(void)
        int luaL_loadstring(void *, const char *)
        int lua_pcallk(void *, int, int, int, long, void *)
        double lua_tonumberx(void *, int, void *)
        void lua_close(void *)
    """
    for n in range(40):
        with work_with("liblua5.4.so.0", "liblua5.4-0", names) as lua:
            state = lua.luaL_newstate()
            assert lua.luaL_loadstring(state, f"return {n} ^ 2") == 0
            assert lua.lua_pcallk(state, 0, 1, 0, 0, None) == 0
            assert lua.lua_tonumberx(state, -1, None) == n**2
            lua.lua_close(state)


@pytest.mark.slow
def test_tcl_evaluates() -> None:
    with work_with("libtcl8.6.so", "libtcl8.6", """
        void *Tcl_CreateInterp(void)
        int Tcl_Eval(void *, const char *)
        const char *Tcl_GetStringResult(void *)
        void Tcl_DeleteInterp(void *)
    """) as tcl:  # fmt: skip
        interpreter = tcl.Tcl_CreateInterp()
        assert tcl.Tcl_Eval(interpreter, "set s 0; foreach n {1 2 3} { incr s [expr {$n ** 2}] }; set s") == 0
        assert tcl.Tcl_GetStringResult(interpreter) == b"14"
        assert tcl.Tcl_Eval(interpreter, "nonsense") == 1
        assert tcl.Tcl_GetStringResult(interpreter) == b'invalid command name "nonsense"'
        tcl.Tcl_DeleteInterp(interpreter)


@pytest.mark.slow
def test_duktape_evaluates() -> None:
    with work_with("libduktape.so.207", "libduktape207", """
        void *duk_create_heap(void *, void *, void *, void *, void *)
        int duk_eval_raw(void *, const char *, size_t, unsigned)
        const char *duk_safe_to_lstring(void *, int, void *)
        void duk_destroy_heap(void *)
    """) as duk:  # fmt: skip
        heap = duk.duk_create_heap(None, None, None, None, None)
        script = b"JSON.stringify([3, 1, 2].sort().map(function (x) { return x * x; }))"
        assert (
            duk.duk_eval_raw(heap, script, len(script), 0x8 | 0x80 | 0x200 | 0x800) == 0
        )  # eval, safe, from the buffer, nameless
        assert duk.duk_safe_to_lstring(heap, -1, None) == b"[1,4,9]"
        duk.duk_destroy_heap(heap)


INSIDE = """
import hashlib, json, math, sqlite3, sys, threading
answers = []
thread = threading.Thread(target=lambda: answers.append(hashlib.sha256(b"late").hexdigest()[:8]))
thread.start()
thread.join()
try:
    1 / 0
except ZeroDivisionError as e:
    answers.append(str(e))
answers.append(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0])
print(json.dumps({"prefix": sys.prefix, "answers": answers}), flush=True)
"""
OUTSIDE = """
import json, sys
import latebind as lb
script, path = sys.argv[1:]
home = bytearray("/usr".encode("utf-32-le") + bytes(4))
with lb.load(path, namespace=lb.Namespace(), scope="global") as library:
    assert library.role == "own", library.role
    library.function("void Py_SetPythonHome(void *)")(home)
    library.function("void Py_InitializeEx(int)")(0)
    run = library.function("int PyRun_SimpleStringFlags(const char *, void *)")
    assert run(script, None) == 0
    assert run("import nowhere", None) == -1
    assert library.function("int Py_FinalizeEx(void)")() == 0
print(json.dumps({"prefix": sys.prefix}))
"""


@pytest.mark.slow
def test_debians_python_runs_a_script_inside_this_python() -> None:
    """A second interpreter in one process: own state, own standard library, extension modules, a thread."""
    path = (
        f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}/libpython3.11.so.1.0"  # the name may mean the one that runs
    )
    if not os.path.exists(path):
        pytest.skip("needs Debian's libpython3.11 libpython3.11-stdlib")
    run = subprocess.run([sys.executable, "-c", OUTSIDE, INSIDE, path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    inside, outside = map(json.loads, run.stdout.splitlines())
    assert inside == {"prefix": "/usr", "answers": [hashlib.sha256(b"late").hexdigest()[:8], "division by zero", 42]}
    assert outside["prefix"] == sys.prefix
    assert "No module named 'nowhere'" in run.stderr


@pytest.mark.slow
def test_qt_packs_and_unpacks() -> None:
    """C++ by its mangled names: qCompress gives a QByteArray, {data block, pointer, size}, as a large structure."""

    class Bytes(ctypes.Structure):
        _fields_ = (("block", ctypes.c_void_p), ("pointer", ctypes.c_void_p), ("size", ctypes.c_longlong))

    with work_with("libQt6Core.so.6", "libqt6core6", "const char *qVersion(void)") as qt:
        pack = ctypes.CFUNCTYPE(Bytes, ctypes.c_char_p, ctypes.c_longlong, ctypes.c_int)
        unpack = ctypes.CFUNCTYPE(Bytes, ctypes.c_void_p, ctypes.c_longlong)
        data = b"late binding " * 1000
        packed = pack(qt.library.symbol("_Z9qCompressPKhxi"))(data, len(data), 9)
        assert zlib.decompress(ctypes.string_at(packed.pointer, packed.size)[4:]) == data
        back = unpack(qt.library.symbol("_Z11qUncompressPKhx"))(packed.pointer, packed.size)
        assert ctypes.string_at(back.pointer, back.size) == data
        assert qt.qVersion().startswith(b"6.")


@pytest.mark.slow
def test_protobuf_reads_numbers() -> None:
    """C++ with many static initialisers."""
    with work_with("libprotobuf.so.32", "libprotobuf32", """
        bool _ZN6google8protobuf11safe_strtodEPKcPd(const char *, void *)
    """) as p:  # fmt: skip
        value = ctypes.c_double()
        assert p._ZN6google8protobuf11safe_strtodEPKcPd("-2.5e3", value)
        assert value.value == -2500.0
        assert not p._ZN6google8protobuf11safe_strtodEPKcPd("nonsense", value)


@pytest.mark.slow
def test_uv_runs_timers_and_threads() -> None:
    with work_with("libuv.so.1", "libuv1", """
        size_t uv_loop_size(void)
        size_t uv_handle_size(int)
        size_t uv_req_size(int)
        int uv_loop_init(void *)
        int uv_timer_init(void *, void *)
        int uv_timer_start(void *, void *, uint64_t, uint64_t)
        int uv_timer_stop(void *)
        int uv_queue_work(void *, void *, void *, void *)
        int uv_run(void *, int)
        void uv_close(void *, void *)
        int uv_loop_close(void *)
    """) as uv:  # fmt: skip
        loop, timer, request = (
            ctypes.create_string_buffer(n) for n in (uv.uv_loop_size(), uv.uv_handle_size(13), uv.uv_req_size(8))
        )
        events: list[str] = []

        def ring(handle: int) -> None:
            events.append("ring")
            if events.count("ring") == 3:
                uv.uv_timer_stop(handle)

        on_time = callback("void ring(void *)", ring)
        work = callback("void work(void *)", lambda _request: events.append("work"))
        done = callback("void done(void *, int)", lambda _request, status: events.append(f"done {status}"))
        assert uv.uv_loop_init(loop) == 0
        assert uv.uv_timer_init(loop, timer) == 0
        assert uv.uv_timer_start(timer, on_time, 1, 5) == 0
        assert uv.uv_queue_work(loop, request, work, done) == 0
        assert uv.uv_run(loop, 0) == 0
        assert events.count("ring") == 3
        assert [e for e in events if e != "ring"] == ["work", "done 0"]
        uv.uv_close(timer, None)
        uv.uv_run(loop, 0)
        assert uv.uv_loop_close(loop) == 0


@pytest.mark.slow
def test_event_waits_for_a_pipe() -> None:
    with work_with("libevent-2.1.so.7", "libevent-2.1-7", """
        void *event_base_new(void)
        void *event_new(void *, int, short, void *, void *)
        int event_add(void *, void *)
        int event_base_dispatch(void *)
        void event_free(void *)
        void event_base_free(void *)
    """) as e:  # fmt: skip
        base, (reader, writer), got = e.event_base_new(), os.pipe(), []
        ready = callback("void ready(int, short, void *)", lambda fd, what, _data: got.append((os.read(fd, 10), what)))
        event = e.event_new(base, reader, 2, ready, None)  # EV_READ
        e.event_add(event, None)
        os.write(writer, b"hello")
        assert e.event_base_dispatch(base) == 1
        assert got == [(b"hello", 2)]
        e.event_free(event)
        e.event_base_free(base)
        os.close(reader)
        os.close(writer)


@pytest.mark.slow
def test_boehms_collector_collects() -> None:
    """It scans the process's writable memory for pointers; ours must not confuse it."""
    program = """
import latebind as lb
with lb.load("libgc.so.1", namespace=lb.Namespace()) as gc:
    gc.function("void GC_init(void)")()
    allocate, collections = gc.function("void *GC_malloc(size_t)"), gc.function("unsigned long GC_get_gc_no(void)")
    for _ in range(200_000):
        assert allocate(1000)
    assert collections() > 3, collections()
    assert gc.function("size_t GC_get_heap_size(void)")() < 100_000_000
"""
    needs.library("libgc.so.1", "libgc1")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
