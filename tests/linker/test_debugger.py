"""What gdb sees of our objects: run for real, in batch mode."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import TYPE_CHECKING

import latebind as lb
from latebind import _core
from latebind.linker import debugger
from latebind.linker.symbolfile import symbol_file
from support import needs

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

SOURCE = """
static int inner(int n) {
    return n * 2;
}
int outer(int n) {
    int r = inner(n);
    return r + 1;
}
"""
DEBUG = ["-g", "-O0"]


def gdb(script: str, *commands: str) -> list[str]:
    """The lines that gdb prints while it runs Python with `script`; breakpoints may wait for a library to come."""
    first = ["set breakpoint pending on", "set confirm off", "set debuginfod enabled off", "set width 0"]
    arguments = [part for command in (*first, *commands, "echo end") for part in ("-ex", command)]
    run = subprocess.run(
        [needs.program("gdb", "gdb"), "-nx", "-batch", *arguments, "--args", sys.executable, "-c", script],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def frames(lines: list[str]) -> list[str]:
    """The frames of the backtraces, without numbers and addresses."""
    found = [line.partition(" ")[2].strip() for line in lines if line.startswith("#")]
    return [f.partition(" in ")[2] if f.startswith("0x") else f for f in found]


def test_a_breakpoint_by_name_and_one_by_line(cc: Compiler) -> None:
    path = cc.shared(SOURCE, name="libstep.so", flags=DEBUG)
    script = f"import latebind as lb; lb.load({str(path)!r}).function('int outer(int)')(5)"
    source = f"{path}.c"
    lines = gdb(script, "break inner", "break libstep.so.c:7", "run", "bt 2", "continue", "bt 1", "info locals")
    assert frames(lines) == [f"inner (n=5) at {source}:3", f"outer (n=5) at {source}:6", f"outer (n=5) at {source}:7"]
    assert "r = 10" in lines
    assert any("return n * 2;" in line for line in lines)


def test_a_library_from_bytes_and_one_that_is_closed(cc: Compiler) -> None:
    path = cc.shared(SOURCE, name="libstep.so", flags=DEBUG)
    script = (
        f"import latebind as lb, os; data = open({str(path)!r}, 'rb').read(); l = lb.load(data); l.function("
        "'int outer(int)')(5); l.close(); lb.load('libz.so.1').function('const char *zlibVersion(void)')()"
    )
    shown = "info line outer"
    lines = gdb(script, "break inner", "run", "bt 2", shown, "delete", "break zlibVersion", "continue", shown)
    assert frames(lines)[:2] == [f"inner (n=5) at {path}.c:3", f"outer (n=5) at {path}.c:6"]
    assert len([line for line in lines if line.startswith('Line 5 of "')]) == 1  # and no more once it was closed


def test_the_stack_inside_an_exception(cc: Compiler) -> None:
    text = """
        static int fail(int n) { throw n; }
        extern "C" int guarded(int n) {
            try { return fail(n); }
            catch (int v) { return v * 2; }
        }"""
    path = cc.shared_cpp(text, name="libfail.so", flags=DEBUG)
    script = f"import latebind as lb; print(lb.load({str(path)!r}).function('int guarded(int)')(21))"
    lines = gdb(script, "break __cxa_throw", "run", "bt 3", "continue")
    assert frames(lines)[1:] == [f"fail (n=21) at {path}.cpp:2", f"guarded (n=21) at {path}.cpp:4"]
    assert "42" in lines


def test_a_debugger_that_is_attached_later(cc: Compiler) -> None:
    """The process is asked in advance, or gdb asks with a script."""
    path = cc.shared(SOURCE, name="libstep.so", flags=DEBUG)
    load = f"import latebind as lb, sys; l = lb.load({str(path)!r}); print('ready', flush=True); sys.stdin.read()"
    asked = "from latebind.linker import debugger; debugger.enable(); "
    for script, extra in ((asked + load, []), (load, ["-x", debugger.script(), "-ex", "latebind-symbols"])):
        process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            command = [needs.program("gdb", "gdb"), "-nx", "-batch", "-p", str(process.pid), *extra]
            run = subprocess.run(
                [*command, "-ex", "info line outer"], capture_output=True, text=True, check=False, timeout=120
            )
            process.terminate()
        assert f'Line 5 of "{path}.c" starts at address' in run.stdout, run.stderr


def test_nothing_is_prepared_without_a_debugger(cc: Compiler) -> None:
    script = f"""
import sys, latebind as lb
from latebind.linker import debugger
from latebind import _core
lb.load({str(cc.shared(SOURCE))!r})
print(bool(debugger.asked) or _core.debugger_listens(), 'latebind.linker.symbolfile' in sys.modules)"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
    assert not _core.debugger_listens()


def test_a_symbol_file_holds_the_sections_where_they_stand(cc: Compiler, tmp_path: Path) -> None:
    elf = lb.read(cc.shared(SOURCE, flags=DEBUG))
    made = lb.read(symbol_file(elf, 0x10000, str(tmp_path / "libx.so")))
    text, moved = elf.section(".text"), made.section(".text")
    assert text is not None
    assert moved is not None
    assert (moved.addr, moved.size, moved.flags) == (text.addr + 0x10000, text.size, text.flags)
    link = made.section(".gnu_debuglink")
    assert link is not None
    assert bytes(made.data[link.offset :]).startswith(bytes(tmp_path / "libx.so") + b"\0")
    assert made.section(".debug_info") is None


class Entry(ctypes.Structure):
    """struct jit_code_entry of the GDB manual's "JIT Compilation Interface"."""


Entry._fields_ = [
    ("next", ctypes.POINTER(Entry)),
    ("prev", ctypes.POINTER(Entry)),
    ("symfile_addr", ctypes.c_void_p),
    ("symfile_size", ctypes.c_uint64),
]


class Descriptor(ctypes.Structure):
    """struct jit_descriptor of the same."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("action", ctypes.c_uint32),
        ("relevant", ctypes.POINTER(Entry)),
        ("first", ctypes.POINTER(Entry)),
    )


def files_for_debuggers() -> list[bytes]:
    """The files in the list that a debugger reads, after a look at its links in both directions."""
    found, before = [], 0
    at = Descriptor.in_dll(ctypes.CDLL(_core.__file__), "__jit_debug_descriptor").first
    while at:
        entry, address = at.contents, ctypes.addressof(at.contents)
        assert (ctypes.addressof(entry.prev.contents) if entry.prev else 0) == before
        found.append(ctypes.string_at(entry.symfile_addr, entry.symfile_size))
        before, at = address, entry.next
    return found


def test_entries_come_and_go_in_any_order() -> None:
    others = files_for_debuggers()
    names = [b"not looked at %d" % i for i in range(3)]
    entries = [_core.debugger_enter(name) for name in names]
    assert files_for_debuggers() == [*reversed(names), *others]
    for i in (1, 0, 2):
        _core.debugger_remove(entries[i])
        names[i] = b""
        assert files_for_debuggers() == [*(name for name in reversed(names) if name), *others]
