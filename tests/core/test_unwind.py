"""C++ exceptions pass through objects that the core mapped, because it tells the unwinder about their frames.

In processes of their own: which unwinder is there, and since when, is the point.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import needs

if TYPE_CHECKING:
    from support.compiler import Compiler

THROWER = """
    struct Guard { int *p; ~Guard() { *p += 10; } };
    static int throw_if(int n) { if (n > 0) throw n; return 0; }
    extern "C" int caught(int n) {
        int unwound = 0;
        try { Guard g{&unwound}; throw_if(n); } catch (int v) { return v + unwound; }
        return -1;
    }
    static void thrower() { throw 7; }
    extern "C" int caught_through(void (*through)(void (*)())) {
        try { through(thrower); } catch (int v) { return v; }
        return -1;
    }
"""
THROUGH = 'void through(void (*f)(void)) { f(); __asm__ volatile(""); }'

PRELUDE = """
import sys
from ctypes import c_int, c_void_p
from pathlib import Path
from latebind import _core
from support.plans import address, function, own, resident, run
RUNTIME = ("libc.so.6", "libstdc++.so.6", "libgcc_s.so.1")
def here(name):
    return any(path.endswith(name) for path, *_ in _core.link_map())
"""


def python(text: str, *arguments: object) -> str:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    command = [sys.executable, "-c", PRELUDE + text, *(str(a) for a in arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def compile_cpp(cc: Compiler) -> Path:
    source, output = cc.folder / "thrower.cc", cc.folder / "thrower.so"
    source.write_text(THROWER, encoding="utf-8")
    command = [needs.program("g++", "g++"), "-O1", "-shared", "-fPIC", "-o", str(output), str(source)]
    subprocess.run(command, check=True, timeout=60)
    return output


def test_an_exception_is_caught_inside_the_object(cc: Compiler) -> None:
    text = """
_core.system_open("libstdc++.so.6")
o = own(Path(sys.argv[1]))
for _ in range(3):
    (image,) = run([o, *map(resident, RUNTIME)])
    image.initialize()
    print(function(image, o, "caught", c_int, c_int)(5), end=" ")
    image.finalize()
    image.unmap()
"""
    assert python(text, compile_cpp(cc)) == "15 15 15"


def test_an_object_older_than_the_unwinder_is_announced_later(cc: Compiler) -> None:
    through = cc.shared(THROUGH, name="through.so", flags=["-fexceptions"])
    text = """
if here("libgcc_s.so.1"):
    raise SystemExit(print("the interpreter brings an unwinder"))
a = own(Path(sys.argv[1]))
(first,) = run([a, resident("libc.so.6")])
_core.system_open("libstdc++.so.6")
b = own(Path(sys.argv[2]))
(second,) = run([b, *map(resident, RUNTIME)])
print(function(second, b, "caught_through", c_int, c_void_p)(address(first, a, "through")))
second.unmap()
first.unmap()
"""
    said = python(text, through, compile_cpp(cc))
    if said == "the interpreter brings an unwinder":  # as under the address sanitizer
        pytest.skip(said)
    assert said == "7"


def test_without_an_unwinder_nothing_is_loaded_for_it(cc: Compiler) -> None:
    through = cc.shared(THROUGH, name="through.so", flags=["-fexceptions"])
    text = """
before = _core.link_map()
o = own(Path(sys.argv[1]))
(image,) = run([o, resident("libc.so.6")])
image.unmap()
print(_core.link_map() == before)
"""
    assert python(text, through) == "True"


def test_frames_without_an_end_are_left_alone(cc: Compiler) -> None:
    """Without crtendS.o nothing ends .eh_frame with a zero: the unwinder would run on beyond it."""
    bare = cc.shared(THROUGH, name="bare.so", flags=["-fexceptions", "-nostdlib"])
    text = """
_core.system_open("libstdc++.so.6")
o = own(Path(sys.argv[1]))
assert o.fields["eh_frame_header.size"]
(image,) = run([o])
b = own(Path(sys.argv[2]))
(second,) = run([b, *map(resident, RUNTIME)])
print(function(second, b, "caught", c_int, c_int)(1))
image.unmap()
"""
    assert python(text, bare, compile_cpp(cc)) == "11"
