"""Our names of relocation types against those that binutils' readelf prints, number by number."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.elf.relocation_names import machines, relocation_names
from support import needs
from support.image import Image

if TYPE_CHECKING:
    from pathlib import Path

_WIDE = {62, 183, 243, 21, 22, 258, 50, 0x9026, 247}  # machines of 64 bits; the others have 32


@pytest.mark.parametrize("machine", machines())
def test_every_number_has_binutils_name(machine: int, tmp_path: Path) -> None:
    bits = 64 if machine in _WIDE else 32
    numbers = range(1200 if bits == 64 else 256)
    image = Image(bits, little=True, machine=machine, kind=1)
    image.section(".rela.text", 4, image.relocations([(0, n, 0, 0) for n in numbers]), entsize=24 if bits == 64 else 12)
    file = tmp_path / "every.o"
    file.write_bytes(image.build(dynamic=False, headers=True))
    command = [needs.program("readelf", "binutils"), "-rW", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^[0-9a-f]{8,}  [0-9a-f]{8,} (\S+)", text, re.MULTILINE)
    theirs = {n: name for n, name in zip(numbers, rows, strict=True) if name.startswith("R_")}
    assert theirs
    assert relocation_names(machine, later=False) == theirs
