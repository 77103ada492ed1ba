"""What dlopen(3) and its relatives do, told by C programs that run twice: under the system's linker and under ours.

Each scenario (tests/linker/test_behaviour_*.py) is a driver that calls dlopen and the rest from C, and the plugins that
it loads. The driver is loaded once by ctypes and once by latebind, each in a process of its own; what they print must
be the same, and is checked against what the documentation promises, so that both being wrong alike is seen too. The
behaviours are those that glibc's and musl's manuals and test suites name; the sources are our own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PRELUDE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#define say(...) (printf(__VA_ARGS__), putchar('\n'), fflush(stdout))
/* Numbers, each looked at before the next one is: C leaves open in which order arguments are evaluated. */
#define number(n) (printf("%ld ", (long)(n)))
#define tell2(a, b) (number(a), number(b), say("."))
#define tell3(a, b, c) (number(a), number(b), number(c), say("."))
static const char *folder __attribute__((unused));
static __attribute__((unused)) const char *at(const char *name)
{
    static __thread char paths[2][4096];
    static __thread int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}
static __attribute__((unused)) void *open_it(const char *name, int mode) { return dlopen(at(name), mode); }
static __attribute__((unused)) int call(void *handle, const char *name)
{
    int (*function)(void) = dlsym(handle, name);
    return function ? function() : -1;
}
static __attribute__((unused)) int failed(void) { return dlerror() != NULL; }
void scenario(void);
int run(const char *where) { folder = where; scenario(); return 0; }
"""

NOISY = r"""
#include <stdio.h>
__attribute__((constructor)) static void begin(void) { puts("+%(name)s"); fflush(stdout); }
__attribute__((destructor)) static void end(void) { puts("-%(name)s"); fflush(stdout); }
int %(name)s(void) { return %(value)d; }
"""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A shared object: its C text, the plugins that it needs (in order), more flags."""

    text: str
    needs: Sequence[str] = ()
    flags: Sequence[str] = ()


def noisy(name: str, *needs: str, value: int = 1, more: str = "", flags: Sequence[str] = ()) -> Plugin:
    """One that prints when its constructor and its destructor run."""
    return Plugin(NOISY % {"name": name, "value": value} + more, needs, flags)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the driver does, with which plugins, and what it must print."""

    body: str
    expected: str
    plugins: Mapping[str, Plugin] = field(default_factory=dict)
    top: str = ""
    """Functions that stand before the driver's."""
    twice: Sequence[str] = ()
    """Plugins that are linked a second time, when all are there: so that two can need each other."""


RUN = """
import sys
from pathlib import Path
if sys.argv[1] == "system":
    import ctypes
    run = ctypes.CDLL(sys.argv[2]).run
else:
    import latebind
    library = latebind.load(sys.argv[2])
    run = library.function("int run(const char *)")
run(str(Path(sys.argv[2]).parent).encode())
"""


def prepare(cc: Compiler, scenario: Scenario) -> Path:
    """Compile the plugins and the driver; the driver's path."""
    cc.folder.mkdir()
    (cc.folder / "versions.map").write_text("ONE { f; }; TWO { f; } ONE;\n")
    (cc.folder / "one.map").write_text("ONE { f; };\n")
    for name in (*scenario.plugins, *scenario.twice):
        plugin = scenario.plugins[name]
        needs = [
            *plugin.needs,
            *(
                n
                for n in scenario.plugins
                if name in scenario.twice and n != name and (cc.folder / f"lib{n}.so").exists()
            ),
        ]
        link = [
            f"-L{cc.folder}",
            f"-Wl,-rpath,{cc.folder}",
            "-Wl,--no-as-needed",
            *(f"-l{n}" for n in needs),
            "-Wl,--as-needed",
        ]
        flags = [
            f.replace("=versions.map", f"={cc.folder}/versions.map").replace("=one.map", f"={cc.folder}/one.map")
            for f in plugin.flags
        ]
        if needs:
            flags += link
        cc.shared(plugin.text, name=f"lib{name}.so", flags=flags)
    text = f"{PRELUDE}\n{scenario.top}\nvoid scenario(void) {{\n{scenario.body}\n}}\n"
    return cc.shared(text, name="driver.so", flags=["-lpthread", "-Wno-unused-result", "-Wno-format-truncation"])


def printed(by: str, driver: Path) -> str:
    """What the driver prints under one linker."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, by, str(driver)],
        env={**os.environ, "LD_LIBRARY_PATH": f"{driver.parent}/env//:relative/env:{driver.parent}/env"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"under {by}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check(cc: Compiler, scenario: Scenario) -> None:
    """Both linkers do what the scenario says."""
    ours = printed("latebind", prepare(Compiler(cc.folder / "ours"), scenario))
    theirs = printed("system", prepare(Compiler(cc.folder / "theirs"), scenario))
    assert ours == theirs
    assert ours == scenario.expected
