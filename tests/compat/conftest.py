"""The files that the tests of the familiar tools look at: small ones, each with something that is printed specially."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support import needs
from support.compiler import Compiler

LIBRARY = """
#include <stddef.h>
int data = 1; int zeroed; const int constant = 2; static int own = 3; __thread int thread = 4; int *pointer = &data;
extern int elsewhere __attribute__((weak)); int weak_data __attribute__((weak)) = 5;
int strong(void) { return data + own + (&elsewhere != NULL) + thread; }
int __attribute__((weak)) weak(void) { return zeroed; }
int __attribute__((visibility("hidden"))) hidden(void) { return constant; }
int __attribute__((visibility("protected"))) protected(void) { return hidden(); }
static int one(void) { return 1; }
static void *choose(void) { return one; }
int chosen(void) __attribute__((ifunc("choose")));
int old(void) { return 1; } int new(void) { return 2; }
__asm__(".symver old,same@V1"); __asm__(".symver new,same@@V2");
"""
VERSIONS = "V1 { global: strong; weak; same; protected; data; }; V2 { global: chosen; thread; } V1;"
PROGRAM = '#include <stdio.h>\nextern int data; int strong(void); int main(void) { puts(""); return strong() + data; }'
UNIQUE = """
template <class T> struct S { static int value; };
template <class T> int S<T>::value = 1;
int *unique() { return &S<int>::value; }
"""
OBJECT = "int common[10]; int tentative; extern int outside; int f(void) { return outside + tentative; }"


def _relocatable(folder: Path, name: str, text: str, *flags: str) -> Path:
    source, made = folder / f"{name}.{'cc' if 'template' in text else 'c'}", folder / name
    source.write_text(text)
    command = [needs.program("g++" if source.suffix == ".cc" else "gcc", "g++"), *flags, "-o", str(made), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, made once."""
    folder = tmp_path_factory.mktemp("samples")
    cc = Compiler(folder)
    (folder / "versions").write_text(VERSIONS)
    flags = [f"-Wl,--version-script={folder}/versions", "-Wl,-z,pack-relative-relocs", "-Wl,-soname,libsample.so"]
    library = cc.shared(LIBRARY, name="libsample.so", flags=flags)
    program = cc.program(PROGRAM, name="program", flags=[str(library), "-Wl,-rpath,$ORIGIN", "-no-pie"])
    cc.program("int main(void) { return 0; }", name="static", flags=["-static"])
    stripped = shutil.copy(program, folder / "stripped")
    subprocess.run([needs.program("strip", "binutils"), stripped], check=True)
    _relocatable(folder, "unique.so", UNIQUE, "-shared", "-fPIC", "-g")
    _relocatable(folder, "object.o", OBJECT, "-c", "-g", "-fcommon")
    _relocatable(folder, "lto.o", LIBRARY.partition("int old")[0], "-c", "-flto", "-ffat-lto-objects")
    _relocatable(folder, "small.o", OBJECT, "-c", "-m32")
    archive = folder / "archive.a"
    ar = needs.program("ar", "binutils")
    subprocess.run([ar, "rc", archive, folder / "object.o", folder / "lto.o", folder / "versions"], check=True)
    _damaged(folder, library.read_bytes())
    return folder


def _damaged(folder: Path, data: bytes) -> None:
    """Variants of one file: without section headers, of another machine, cut off, not ELF."""
    bare = bytearray(data)
    bare[40:48], bare[60:64] = bytes(8), bytes(4)
    (folder / "no_sections").write_bytes(bare)
    foreign = bytearray(data)
    foreign[18:20] = (183).to_bytes(2, "little")
    (folder / "foreign").write_bytes(foreign)
    (folder / "cut").write_bytes(data[:3000])
    (folder / "text").write_text("no ELF file\n")
    (folder / "empty").touch()


SAMPLES = (
    "libsample.so", "program", "static", "stripped", "unique.so", "object.o", "lto.o", "small.o", "archive.a",
    "no_sections", "foreign", "cut", "text", "empty", "absent", ".",
)  # fmt: skip
"""The names in the folder, and two that are no files."""


@pytest.fixture(params=SAMPLES)
def sample(samples: Path, request: pytest.FixtureRequest) -> Path:
    """Each of the files in turn."""
    return samples / Path(str(request.param))


@pytest.fixture(scope="session")
def binutils() -> None:
    """Skip where binutils are not those of reference, whose every quirk is compared with."""
    command = [needs.program("objdump", "binutils"), "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n")[0]
    if not version.endswith(" 2.40"):
        pytest.skip(f"{version}: the reference is 2.40 (Debian 12)")
