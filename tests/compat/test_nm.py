"""`latebind nm` beside GNU nm: the same bytes, messages and exit status."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.compat.collation import collation_key
from latebind.compat.nm import nm
from latebind.compat.nm_options import parse_nm
from support import needs
from support.command import latebind
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

pytestmark = pytest.mark.usefixtures("binutils")

JOBS = (
    "", "-D", "-a", "-g", "-u", "--defined-only", "-W", "-n", "-v", "-nr", "-S", "--size-sort", "-aSr --size-sort",
    "-p", "-r", "-A", "-o", "-P", "-PA", "-DPtd", "-f sysv", "-fb", "-aj", "-to", "--radix=octal", "-s", "--quiet",
    "-u --size-sort", "-n -p", "-p --numeric", "-u --defined-only", "-B -e -X 32_64 --special-syms --recurse-limit",
    "-C", "-DC", "--demangle=rust", "--demangle=gnu-v3 -fs", "-C --no-demangle", "--demangle=none",
    "--ifunc-chars=Ff", "--ifunc-chars=F -D", "-D --without-symbol-versions", "-D --with-symbol-versions",
    "--size-sort -CP", "-l", "-lP", "-Dl", "-lnfs", "-ljC",
)  # fmt: skip


def both(arguments: str, *files: Path) -> tuple[Answer, Answer]:
    options, names, instead = parse_nm([*arguments.split(), *map(str, files)])
    assert instead is None
    answer = ours("nm", lambda output: nm(names, options, output))
    return answer, reference("nm", "binutils", *arguments.split(), *files)


@pytest.mark.parametrize("arguments", ["", "-D"])
def test_every_kind_of_file(sample: Path, arguments: str) -> None:
    answer, wanted = both(arguments, sample)
    assert answer == wanted


@pytest.mark.parametrize("arguments", JOBS)
def test_every_option(samples: Path, arguments: str) -> None:
    files = [samples / name for name in ("libsample.so", "object.o", "archive.a", "stripped", "unique.so")]
    answer, wanted = both(arguments, *files)
    assert answer == wanted


LINES = """
#include <string>
struct S { int m(int a); static int count; virtual ~S(); S(int); template <class T> T id(T t) { return t; } };
int S::count = 3;
S::S(int a) { count += a; }
S::~S() { count--; }
int S::m(int a)
{
  return a + count;
}
namespace { int hidden = 4; int fn(int x) { return x * hidden; } }
static __attribute__((noinline, cold)) void unlikely() { throw std::string("x"); }
int use(int v) { static int calls; calls++; if (v < 0) unlikely(); S s(2); return s.id(3) + s.m(fn(v)); }
"""


@pytest.mark.parametrize("flags", ["-O0", "-O2", "-O2 -gdwarf-4", "-O1 -gz -ffunction-sections", "-O2 -m32"])
def test_where_symbols_are_defined(cc: Compiler, tmp_path: Path, flags: str) -> None:
    linked = cc.shared_cpp(LINES, name="liblines.so", flags=["-g", *flags.replace("-m32", "").split()])
    made = tmp_path / "lines.o"
    lines = LINES.replace("#include <string>", "").replace('std::string("x")', "1")  # whose headers -m32 has not
    (tmp_path / "lines.cc").write_text(lines)
    command = [needs.program("g++", "g++"), "-g", *flags.split(), "-c", "-o", str(made), str(tmp_path / "lines.cc")]
    subprocess.run(command, check=True)
    answer, wanted = both("-lC", linked, made)
    assert answer == wanted
    assert "liblines.so.cpp:" in answer.out


def test_names_around_mangled_ones(cc: Compiler) -> None:
    names = [
        "._Z1fv", "$_Z1fv", "_Z1fi.part.0", "_GLOBAL__I__Z1fv", "_GLOBAL__sub_I_a", "_Z1f", "_Zfoo", "_RNvC1a1b",
        "_ZN4core3fmt5write17h0123456789abcdefE", "_ZN4core3fmt5write17haaaaaaaaaaaaaaaaE", "_Z1fv@V1",
    ]  # fmt: skip
    source = "".join(f'__asm__(".globl \\"{name}\\"\\n \\"{name}\\" = 1");' for name in names)
    answer, wanted = both("-C", cc.object(source))
    assert answer == wanted


@pytest.mark.parametrize(
    "arguments",
    ["-Z", "--foo", "--s", "-t", "-t q", "-f zzz", "--demangle=zz", "--quiet=3", "--radix", "-gD --no-such x"],
)
def test_a_wrong_command_line_is_refused_in_the_same_words(arguments: str) -> None:
    run = latebind("nm", *arguments.split())
    wanted = reference("nm", "binutils", *arguments.split())
    assert (run.stderr.partition("\n")[0], run.returncode) == (wanted.errors.partition("\n")[0], wanted.status)


@pytest.mark.parametrize(
    "arguments", ["--plugin x", "--synthetic", "--unicode=hex", "--target=binary", "--demangle=gnat"]
)
def test_what_is_not_offered_is_said(arguments: str) -> None:
    run = latebind("nm", *arguments.split(), "/bin/ls")
    assert run.returncode == 1
    assert run.stderr.startswith(f"nm: latebind does not offer {arguments.partition(' ')[0].partition('=')[0]}")


def test_options_in_a_file(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text(f"-D\n -p '{samples}/libsample.so'")
    run = latebind("nm", f"@{tmp_path}/words")
    assert run.stdout == reference("nm", "binutils", f"@{tmp_path}/words").out
    assert run.stdout


def test_names_are_printed_byte_for_byte(samples: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.o"
    raw.write_bytes((samples / "object.o").read_bytes().replace(b"\0outside\0", b"\0out\xff\xfede\0"))
    answer, wanted = both("", raw)
    assert answer == wanted
    assert "out\xff\xfede" in answer.out


def test_names_sort_as_in_the_users_locale(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LC_ALL", "LC_COLLATE", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    assert collation_key() is None
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert collation_key() is None
    monkeypatch.setenv("LC_ALL", "no_SUCH.locale")
    answer, wanted = both("", samples / "libsample.so")
    assert answer == wanted
