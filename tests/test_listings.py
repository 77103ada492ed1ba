"""The classic `dl` example, replayed: each of its listings is done with latebind, beside the real thing.

The example is a shell that opens a library and calls a function by name, and the tools that look at its program.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import dl, plan, read

if TYPE_CHECKING:
    from support.compiler import Compiler

LATEBIND = str(Path(sys.executable).with_name("latebind"))

SHELL = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void invoke(const char *library, const char *method, float argument)
{
    void *handle = dlopen(library, RTLD_LAZY);
    if (!handle) {
        printf("!!! %s\n", dlerror());
        return;
    }
    float (*function)(float) = (float (*)(float))dlsym(handle, method);
    char *error = dlerror();
    if (error)
        printf("!!! %s\n", error);
    else
        printf("  %f\n", function(argument));
    dlclose(handle);
}

int main(void)
{
    char line[81], library[81], method[81];
    float argument;
    while (printf("> "), fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "bye", 3))
            break;
        if (sscanf(line, "%80s %80s %f", library, method, &argument) == 3)
            invoke(library, method, argument);
    }
    return 0;
}
"""
SESSION = "libm.so.6 cosf 0.0\nlibm.so.6 sinf 0.0\nlibm.so.6 tanf 1.0\nlibm.so.6 expf 0.0\nbye\n"


@pytest.fixture
def program(cc: Compiler) -> Path:
    return cc.program(SHELL, name="dl", flags=["-rdynamic"])


def run(*command: str | Path, text: str | None = None) -> str:
    return subprocess.run(list(command), input=text, capture_output=True, text=True, check=True).stdout


def numbers(output: str) -> list[str]:
    return re.findall(r"  (-?\d+\.\d+)", output)


def test_the_session_of_the_shell_gives_the_same_numbers(program: Path) -> None:
    theirs = numbers(run(program, text=SESSION))
    assert theirs == ["1.000000", "0.000000", "1.557408", "1.000000"]
    assert numbers(run(LATEBIND, "shell", text=SESSION)) == theirs


def test_the_dl_functions_do_what_the_program_does() -> None:
    handle = dl.dlopen("libm.so.6", dl.RTLD_LAZY)
    assert handle is not None
    assert dl.dlsym(handle, "cosf") is not None
    assert handle.function("float cosf(float)")(0.0) == 1.0
    assert dl.dlsym(handle, "no_such_function") is None
    assert "no_such_function" in (dl.dlerror() or "")
    assert dl.dlerror() is None
    assert dl.dlclose(handle) == 0


def test_the_program_headers_name_the_interpreter(program: Path) -> None:
    elf = read(program)
    assert f"[Requesting program interpreter: {elf.interpreter}]" in run("readelf", "-lW", program)
    kinds = [s.type_name for s in elf.segments]
    assert kinds[:2] == ["PHDR", "INTERP"]
    assert {"LOAD", "DYNAMIC", "NOTE", "GNU_STACK"} <= set(kinds)


def test_the_calls_that_need_relocation_are_listed(program: Path) -> None:
    names = {b.symbol for b in plan(program).bindings_of(0)}
    assert {"dlopen", "dlsym", "dlerror", "dlclose", "fgets", "printf", "__libc_start_main", "stdin"} <= names
    for tool, *flags in (["readelf", "-lW"], ["readelf", "-r"], ["objdump", "-R"], ["nm", "-D"]):
        assert run(LATEBIND, tool, *flags, program) == run(tool, *flags, program)


def test_ldd_lists_what_the_program_depends_on(program: Path) -> None:
    def without_addresses(text: str) -> str:
        return re.sub(r"\(0x[0-9a-f]+\)", "", text)

    assert without_addresses(run(LATEBIND, "ldd", program)) == without_addresses(run("ldd", program))


def test_the_library_is_known_to_need_its_own_dependencies(program: Path) -> None:
    loader = read(program).interpreter
    assert loader is not None
    listed = re.findall(r"=> (/\S+)", run(loader, "--list", program))
    ours = [o.path for o in plan(program).objects[1:]]
    assert [p for p in ours if p in listed] == listed
