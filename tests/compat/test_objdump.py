"""`latebind objdump` beside GNU objdump: the same bytes, messages and exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind.compat.objdump import objdump
from latebind.compat.objdump_options import parse_objdump
from support.command import latebind
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

pytestmark = pytest.mark.usefixtures("binutils")

JOBS = ("-p", "-T", "-R", "-RTp")
MORE = (
    "-f", "-h", "-hw", "-a", "-t", "-r", "-s", "-x", "-xw", "-tC", "--syms --demangle=rust", "-rTC", "-Fs -j .text",
    "-j .comment --section=.text -s", "-ht -j .data", "-fh -j .nosuch", "-TRC --file-headers --reloc",
)  # fmt: skip


def both(arguments: str, *files: Path) -> tuple[Answer, Answer]:
    options, names, instead = parse_objdump([*arguments.split(), *map(str, files)])
    assert instead is None
    answer = ours("objdump", lambda output: objdump(names, options, output))
    return answer, reference("objdump", "binutils", *arguments.split(), *files)


@pytest.mark.parametrize("arguments", [*JOBS, "-xs"])
def test_every_kind_of_file(sample: Path, arguments: str) -> None:
    answer, wanted = both(arguments, sample)
    if sample.name == "core":
        assert "latebind inspect --core" in answer.errors or answer == wanted
        return
    assert answer == wanted


@pytest.mark.parametrize("arguments", MORE)
def test_every_option(samples: Path, arguments: str) -> None:
    files = [samples / name for name in ("libsample.so", "object.o", "archive.a", "stripped", "unique.so", "static")]
    answer, wanted = both(arguments, *files)
    assert answer == wanted


def test_groups_compressed_sections_and_relocations_that_the_linker_kept(cc: Compiler) -> None:
    source = (
        'int common[10]; extern int outside; __attribute__((section(".mine,\\"awG\\",@progbits,g,comdat#"))) int m = 5;'
    )
    source += "__thread int t = 1; int f(void) { return common[1] + t + m; }"
    made = cc.object(source, flags=["-g", "-gz", "-fcommon"])
    kept = cc.program("int main(void) { return 0; }", flags=["-Wl,-q", "-g"])
    answer, wanted = both("-xs", made, kept)
    assert answer == wanted


def test_a_link_to_the_section_before_or_after_is_no_string_table(samples: Path, tmp_path: Path) -> None:
    """SHN_BEFORE (0xff00) in sh_link passes the checks on x86, and there are no strings there. Found by fuzzing."""
    from latebind.elf import read

    data = bytearray((samples / "libsample.so").read_bytes())
    elf = read(bytes(data))
    for section in elf.sections:
        if section.type in {2, 6, 11, 0x6FFFFFFD, 0x6FFFFFFE}:
            at = elf.header.shoff + 64 * section.index + 40
            data[at : at + 4] = (0xFF00).to_bytes(4, "little")
    broken = tmp_path / "broken"
    broken.write_bytes(data)
    for arguments in (["nm"], ["nm", "-D"], ["objdump", "-p"], ["objdump", "-tT"]):
        run = latebind(*arguments, broken)
        assert "Traceback" not in run.stderr
        assert run.returncode in {0, 1}


def test_what_is_not_offered_is_said() -> None:
    for arguments in ("-d", "-S", "-W", "--dwarf=info", "-b binary", "--start-address=1", "-M intel"):
        run = latebind("objdump", *arguments.split(), "/bin/ls")
        assert run.returncode == 1
        assert "objdump: latebind does not offer -" in run.stderr
    run = latebind("objdump", "-h", "--no-such")
    assert run.stderr.startswith("objdump: unrecognized option '--no-such'\nUsage: latebind objdump")


@pytest.mark.parametrize("arguments", JOBS)
def test_what_cannot_be_read_ends_the_run_as_in_objdump(samples: Path, arguments: str) -> None:
    answer, wanted = both(arguments, *(samples / name for name in ("program", "absent", "no_sections", "libsample.so")))
    assert answer == wanted


def test_a_relocation_type_that_bfd_does_not_know(samples: Path, tmp_path: Path) -> None:
    from latebind.elf import read

    data = bytearray((samples / "program").read_bytes())
    table = next(s for s in read(bytes(data)).sections if s.name == ".rela.dyn")
    data[table.offset + 8] = 99
    broken = tmp_path / "broken"
    broken.write_bytes(data)
    answer, wanted = both("-R", broken)
    assert answer == wanted
    assert "unsupported relocation type 0x63" in answer.errors


def test_broken_version_records_leave_the_headers_readable(samples: Path, tmp_path: Path) -> None:
    from latebind.elf import read

    data = bytearray((samples / "program").read_bytes())
    needs = next(s for s in read(bytes(data)).sections if s.name == ".gnu.version_r")
    data[needs.offset + 8 : needs.offset + 12] = b"\xff\xff\xff\x7f"  # vn_aux
    broken = tmp_path / "broken"
    broken.write_bytes(data)
    answer, wanted = both("-p", broken)
    assert (answer.out, answer.status) == (wanted.out, wanted.status)
    assert "private headers incomplete" in answer.errors
