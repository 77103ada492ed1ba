"""`latebind readelf` beside GNU readelf: the same bytes, messages and exit status."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.compat.readelf import show_files
from latebind.compat.readelf_options import parse
from latebind.elf.machine_names import MACHINE_NAMES
from support import needs
from support.command import PROGRAM, latebind
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

pytestmark = pytest.mark.usefixtures("binutils")

TABLES = ("-h", "-l", "-S", "-d", "-r", "-s", "--dyn-syms", "-V", "-n", "-g", "-u", "-I", "-A")
MORE = (
    *TABLES, *(f"-W {table}" for table in TABLES), "-a", "-aW", "-e", "-tW", "-N", "-sT", "-rT", "-sD", "-WsC", "-sC",
    "-rC", "-WrC", "--demangle=rust -Wsr", "-C --no-demangle -s", "--sym-base=8 -s", "--sym-base=16 -sW",
    "--sym-base=10 -s", "--sym-base=0 -s", "-x .text", "-p .comment -x1 --hex-dump=.data", "-x 99", "-x nosuch -h",
    "-x 0x1 -p 010 -x 0", "-p .bss", "-R .text -x .text", "-zx .debug_info -zp .debug_str", "-R .debug_info", "-c",
    "-cS", "-ch",
)  # fmt: skip


def both(arguments: str, *files: Path) -> tuple[Answer, Answer]:
    options = parse([*arguments.split(), *map(str, files)])
    answer = ours("readelf", lambda output: 0 if show_files(options, output) else 1)
    return answer, reference("readelf", "binutils", *arguments.split(), *files)


@pytest.mark.parametrize("arguments", ["-a", "-aW -x .text"])
def test_every_kind_of_file(sample: Path, arguments: str) -> None:
    answer, wanted = both(arguments, sample)
    assert answer == wanted


@pytest.mark.parametrize("arguments", MORE)
def test_every_option(samples: Path, arguments: str) -> None:
    files = [samples / name for name in ("libsample.so", "object.o", "archive.a", "unique.so", "small.o")]
    answer, wanted = both(arguments, *files)
    assert answer == wanted


def test_strings_of_any_bytes_in_the_users_locale(cc: Compiler, tmp_path: Path) -> None:
    dice = random.Random(4)
    parts = [
        bytes([dice.randrange(0xC0, 256), *dice.choices(range(0x80, 0xC0), k=dice.randrange(6))]) for _ in range(900)
    ]
    parts += [b"ab", b"\n", b"\0", b"\t", b"x\n\0", b"\n\n"] * 200
    dice.shuffle(parts)
    (tmp_path / "bytes").write_bytes(b"".join(parts))
    made = cc.object(f'__asm__(".section .mine,\\"a\\"\\n.incbin \\"{tmp_path}/bytes\\"");')
    wanted = reference("readelf", "binutils", "-p", ".mine", made)
    run = subprocess.run([PROGRAM, "readelf", "-p", ".mine", made], capture_output=True, check=True)
    assert run.stdout.decode("latin-1") == wanted.out


def test_sections_that_are_compressed(cc: Compiler, tmp_path: Path) -> None:
    source = "int outside(void); int data = 5; int f(void) { return outside() + data; }"
    plain = cc.object(source, name="plain.o", flags=["-g"])
    compressed = cc.object(source, name="compressed.o", flags=["-g", "-gz"])
    old = tmp_path / "old.o"
    subprocess.run([needs.program("objcopy", "binutils"), "--compress-debug-sections=zlib-gnu", plain, old], check=True)
    for arguments in ("-zx .debug_info", "-zR .debug_info", "-x .debug_info", "-R .debug_info -p .debug_str", "-zp 9"):
        answer, wanted = both(arguments, plain, compressed)
        assert answer == wanted
    answer, wanted = both("-zx .zdebug_info -p .zdebug_str", old)
    assert answer == wanted


def test_the_index_of_an_archive(samples: Path, tmp_path: Path) -> None:
    ar = needs.program("ar", "binutils")
    subprocess.run([ar, "rcS", tmp_path / "bare.a", samples / "object.o"], check=True)
    for arguments in ("-c", "-cs", "-cSW"):
        answer, wanted = both(arguments, samples / "archive.a", tmp_path / "bare.a", samples / "program")
        assert answer == wanted


def test_every_machine_has_readelfs_name(samples: Path, tmp_path: Path) -> None:
    data = bytearray((samples / "libsample.so").read_bytes())
    files = []
    for machine in [*range(270), *(number for number in MACHINE_NAMES if number >= 270)]:
        data[18:20] = machine.to_bytes(2, "little")
        files.append(tmp_path / f"{machine}")
        files[-1].write_bytes(data[:64] + bytes(64))
    answer, wanted = both("-h", *files)
    assert [line for line in answer.out.splitlines() if "Machine:" in line] == [
        line for line in wanted.out.splitlines() if "Machine:" in line
    ]


@pytest.mark.parametrize("arguments", ["-Y", "--foo", "--sect", "-x", "--all=3"])
def test_a_wrong_command_line_is_refused_in_the_same_words(arguments: str) -> None:
    run = latebind("readelf", *arguments.split())
    wanted = reference("readelf", "binutils", *arguments.split())
    assert run.stderr.partition("\n")[0] == wanted.errors.partition("\n")[0]
    assert run.returncode == 1


@pytest.mark.parametrize("arguments", ["-w", "--debug-dump=info", "--lto-syms", "--ctf=x", "-U hex", "-P"])
def test_what_is_not_offered_is_said(arguments: str) -> None:
    run = latebind("readelf", *arguments.split(), "/bin/ls")
    assert run.returncode == 1
    assert run.stderr.startswith(f"readelf: latebind does not offer {arguments.partition(' ')[0].partition('=')[0]}")
