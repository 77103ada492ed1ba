"""`latebind objdump` beside GNU objdump: the same bytes, messages and exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind.compat.objdump import ObjdumpOptions, objdump
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("binutils")

JOBS = {
    "-p": ObjdumpOptions(private_headers=True),
    "-T": ObjdumpOptions(dynamic_symbols=True),
    "-R": ObjdumpOptions(dynamic_relocations=True),
    "-RTp": ObjdumpOptions(private_headers=True, dynamic_symbols=True, dynamic_relocations=True),
}


def both(arguments: str, *files: Path) -> tuple[Answer, Answer]:
    names = [str(file) for file in files]
    answer = ours("objdump", lambda output: objdump(names, JOBS[arguments], output))
    return answer, reference("objdump", "binutils", arguments, *files)


@pytest.mark.parametrize("arguments", JOBS)
def test_every_kind_of_file(sample: Path, arguments: str) -> None:
    answer, wanted = both(arguments, sample)
    assert answer == wanted


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
