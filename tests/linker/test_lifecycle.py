"""From the first constructor to the last destructor: order, cycles, loads and closes from inside, threads, fork."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.linker.lasting import Reason, will_last

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.compiler import Compiler

LOG = "char log[256]; int used; void note(char c) { log[used++] = c; }"
NOTES = """
    void note(char);
    __attribute__((constructor)) static void begin(void) { note('%s'); }
    __attribute__((destructor)) static void end(void) { note('%s'); }
"""


def is_mapped(path: object) -> bool:
    return any(str(path) in line and " r-xp " in line for line in Path("/proc/self/maps").read_text().splitlines())


class Logged:
    """A namespace whose libraries each write a letter to one of them: lower case at the beginning, upper at the end."""

    def __init__(self, cc: Compiler) -> None:
        self.cc = cc
        self.space = lb.Namespace()
        self.flags = [f"-L{cc.folder}", f"-Wl,-rpath,{cc.folder}", "-Wl,--no-as-needed"]
        self.log = lb.load(cc.shared(LOG, name="liblog.so"), namespace=self.space)

    def make(self, letter: str, needs: str = "", text: str = "") -> Path:
        source = NOTES % (letter, letter.upper()) + text
        flags = [*self.flags, "-llog", *(f"-lpart_{n}" for n in needs)]
        return self.cc.shared(source, name=f"libpart_{letter}.so", flags=flags)

    def load(self, letter: str) -> lb.Library:
        return lb.load(self.cc.folder / f"libpart_{letter}.so", namespace=self.space)

    def text(self) -> str:
        return ctypes.string_at(self.log.symbol("log")).decode()


def test_libraries_are_closed_in_any_order(cc: Compiler) -> None:
    """A needs b and c, b needs c: whatever order their handles are closed in, dependents are finalised first."""
    for order in itertools.permutations("abc"):
        at = Logged(cc)
        at.make("c")
        at.make("b", "c")
        at.make("a", "bc")
        handles = {letter: at.load(letter) for letter in "cba"}
        assert at.text() == "cba"
        for letter in order:
            handles[letter].close()
        ended = at.text()[3:]
        assert sorted(ended) == ["A", "B", "C"]
        assert ended.index("B") < ended.index("C")
        assert ended.index("A") < ended.index("B")
        at.log.close()
        assert at.space.objects == ()


def test_a_cycle_is_loaded_and_unloaded_whole(cc: Compiler) -> None:
    at = Logged(cc)
    at.make("a")
    at.make("b", "a")
    at.make("a", "b")  # now they need each other
    first, second = at.load("a"), at.load("b")
    assert sorted(at.text()) == ["a", "b"]
    first.close()
    assert sorted(at.text()) == ["a", "b"]
    second.close()
    assert sorted(at.text()) == ["A", "B", "a", "b"]
    assert at.space.objects == (str(cc.folder / "liblog.so"),)
    at.log.close()


def callback(function: Callable[[], object]) -> tuple[object, int]:
    """A C function `void (void)` that calls `function`; its address."""
    made = ctypes.CFUNCTYPE(None)(function)
    address = ctypes.cast(made, ctypes.c_void_p).value
    assert address is not None
    return made, address


FROM_INSIDE = """
    void outside(void);
    __attribute__((%s)) static void call(void) { outside(); }
"""


def test_a_constructor_loads_another_library(cc: Compiler) -> None:
    at = Logged(cc)
    at.make("b")
    loaded: list[lb.Library] = []
    held, address = callback(lambda: loaded.append(at.load("b")))
    path = at.cc.shared(FROM_INSIDE % "constructor", name="libouter.so")
    outer = lb.load(path, namespace=at.space, hooks={"outside": address})
    assert at.text() == "b"
    outer.close()
    assert at.text() == "b"
    loaded[0].close()
    assert at.text() == "bB"
    at.log.close()
    assert held is not None


def test_a_constructor_opens_its_own_library_again(cc: Compiler) -> None:
    path = cc.shared(FROM_INSIDE % "constructor" + "int n; int next(void) { return ++n; }", name="libself.so")
    space, seen = lb.Namespace(), []

    def again() -> None:
        with lb.load(path, namespace=space) as library:
            seen.append(library.function("int next(void)")())

    held, address = callback(again)
    with lb.load(path, namespace=space, hooks={"outside": address}) as library:
        assert seen == [1]
        assert library.function("int next(void)")() == 2
    assert not is_mapped(path)
    assert held is not None


def test_a_close_from_a_destructor_waits_for_its_end(cc: Compiler) -> None:
    """Library a's destructor closes b, which a calls once more afterwards: b is unloaded after a."""
    at = Logged(cc)
    at.make("b", text="int b(void) { return 5; }")
    text = """
        void note(char); void outside(void); int b(void);
        __attribute__((destructor)) static void end(void) { outside(); note('0' + b()); }"""
    at.cc.shared(text, name="libpart_a.so", flags=[*at.flags, "-llog", "-lpart_b"])
    inner = at.load("b")
    held, address = callback(inner.close)
    outer = lb.load(cc.folder / "libpart_a.so", namespace=at.space, hooks={"outside": address})
    outer.close()
    assert at.text() == "b5B"
    assert not is_mapped(cc.folder / "libpart_b.so")
    at.log.close()
    assert held is not None


def test_a_destructor_loads_a_library(cc: Compiler) -> None:
    at = Logged(cc)
    at.make("b")
    held, address = callback(lambda: at.load("b").close())
    path = at.cc.shared(FROM_INSIDE % "destructor", name="libouter.so")
    lb.load(path, namespace=at.space, hooks={"outside": address}).close()
    assert at.text() == "bB"
    at.log.close()
    assert held is not None


def test_threads_load_and_close_at_once(cc: Compiler) -> None:
    base = cc.shared("static __thread int t = 1; int one(void) { return t; }", name="libbase.so")
    link = [f"-L{cc.folder}", f"-Wl,-rpath,{cc.folder}", "-lbase"]
    paths = [
        cc.shared(f"int one(void); int value(void) {{ return one() + {i}; }}", name=f"lib{i}.so", flags=link)
        for i in range(4)
    ]
    space, wrong = lb.Namespace(), []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(40):
            i = dice.randrange(len(paths))
            with lb.load(paths[i], namespace=space) as library:
                if library.function("int value(void)")() != i + 1:
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert space.objects == ()
    assert not is_mapped(base)


def test_one_copy_is_loaded_by_threads_that_ask_at_once(cc: Compiler) -> None:
    path = cc.shared("int n;", name="libone.so")
    space, gate = lb.Namespace(), threading.Barrier(8)
    handles: list[lb.Library] = []

    def work() -> None:
        gate.wait()
        handles.append(lb.load(path, namespace=space))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({h.base for h in handles}) == 1
    for h in handles:
        h.close()
    assert not is_mapped(path)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_loads_while_the_parents_threads_do(cc: Compiler) -> None:
    path = cc.shared("__thread int v = 3; int f(void) { return v; }")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            lb.load(path, namespace=lb.Namespace()).close()

    thread = threading.Thread(target=work)
    before = lb.load(path, namespace=lb.Namespace())
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                ok = before.function("int f(void)")() == 3
                with lb.load(path, namespace=lb.Namespace()) as library:
                    ok = ok and library.function("int f(void)")() == 3
                before.close()
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()
    before.close()


def test_a_child_that_a_constructor_forks_off_does_not_wait_for_threads_that_it_does_not_have(cc: Compiler) -> None:
    """The system's linker runs that constructor, while a thread of ours maps the other objects."""
    runtime = cc.shared(
        """
        #include <sys/wait.h>
        #include <unistd.h>
        __attribute__((constructor)) static void fork_off(void) {
            pid_t child = fork();
            if (child > 0) waitpid(child, 0, 0);
        }
        int from_runtime(void) { return 1; }
        """,
        name="libobjc.so.77",
        flags=["-Wl,-soname,libobjc.so.77"],
    )
    one = cc.shared("static char many[1 << 20]; char *here(void) { return many; }", name="libone.so")
    others = [str(shutil.copy(one, one.parent / f"lib{number}.so")) for number in range(80)]
    path = cc.shared(
        "extern int from_runtime(void); int both(void) { return from_runtime() + 1; }",
        name="libtop.so",
        flags=["-Wl,--no-as-needed", str(runtime), *others, "-Wl,-rpath,$ORIGIN"],
    )
    script = f"""
import os, latebind as lb
parent = os.getpid()
try:
    told = str(lb.load({str(path)!r}, namespace=lb.Namespace(), keep=False).function("int both(void)")())
except lb.LatebindError as e:
    told = f"{{type(e).__name__}}: {{e}}"
os.write(1, f"{{'parent' if os.getpid() == parent else 'child'}} {{told}}\\n".encode())
os._exit(0)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    child, parent = run.stdout.splitlines()
    assert parent == "parent 2"
    assert child == "child 2" or ("Unsupported" in child and "forked" in child)  # as far as the thread had come


# what stays ---------------------------------------------------------------------------------------------------------


def test_a_library_that_must_not_be_unloaded(cc: Compiler) -> None:
    path = cc.shared("int n; int next(void) { return ++n; }", name="libkeep.so", flags=["-Wl,-z,nodelete"])
    space = lb.Namespace()
    plan = lb.plan(path, into=space)
    assert [(x.path, x.reason) for x in will_last(plan)] == [(str(path), Reason.NODELETE)]
    library = lb.load(plan, namespace=space)
    assert [str(x) for x in library.lasting()] == ["libkeep.so: it is marked as never to be unloaded (DF_1_NODELETE)"]
    library.function("int next(void)")()
    library.close()
    assert is_mapped(path)
    with lb.load(path, namespace=space) as again:
        assert again.function("int next(void)")() == 2


UNIQUE = """
    template <class T> struct Shared { static int count; };
    template <class T> int Shared<T>::count = %d;
    extern "C" int %s() { return ++Shared<int>::count; }
"""


def test_a_unique_symbol_has_one_definition_in_a_namespace(cc: Compiler) -> None:
    """Even among libraries with local scope, as in glibc; and another namespace has its own."""
    first = cc.shared_cpp(UNIQUE % (10, "f"), name="libfirst.so")
    second = cc.shared_cpp(UNIQUE % (20, "g"), name="libsecond.so")
    space = lb.Namespace()
    a, b = lb.load(first, namespace=space), lb.load(second, namespace=space)
    assert [a.function("int f()")(), b.function("int g()")()] == [11, 12]
    assert [(x.reason, "libsecond.so" in x.detail) for x in a.lasting()] == [(Reason.UNIQUE, True)]
    assert b.lasting() == ()
    a.close()
    assert is_mapped(first)
    assert b.function("int g()")() == 13
    with lb.load(second, namespace=lb.Namespace()) as other:
        assert other.function("int g()")() == 21
    b.close()
    assert not is_mapped(first)
    assert not is_mapped(second)


def test_a_library_with_unique_symbols_is_unloaded_when_nobody_uses_them(cc: Compiler) -> None:
    path = cc.shared_cpp(UNIQUE % (10, "f"), name="libfirst.so")
    for _ in range(3):
        library = lb.load(path, namespace=lb.Namespace())
        assert library.function("int f()")() == 11
        assert library.lasting() == ()
        library.close()
        assert not is_mapped(path)
