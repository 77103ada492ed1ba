"""plan.h and `linkplan.format` are one definition: the compiler's sizes and offsets are the packed layout's."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from latebind.linkplan import Kind, format  # noqa: A004 - the module is called so
from latebind.linkplan.roles import Role

_FLAGS = ("TEXTREL", "STATIC_TLS", "ROOT", "NODELETE", "LAZY", "GIVES_TLS", "FRAMES_SOUND")
CORE = Path(__file__).parents[2] / "src" / "core"


def run_c(tmp_path: Path, body: str) -> str:
    source = tmp_path / "probe.c"
    source.write_text(
        f'#include "plan.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{ {body} return 0; }}'
    )
    program = tmp_path / "probe"
    subprocess.run(["cc", "-I", CORE, "-o", program, source], check=True)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def test_every_field_has_the_compilers_offset_and_size(tmp_path: Path) -> None:
    lines, expected = [], []
    for record, fields in format.LAYOUTS.items():
        lines.append(f'printf("{record} %zu\\n", sizeof(struct {record}));')
        expected.append(f"{record} {format.record_size(record)}")
        at = 0
        for name, code in fields:
            size = struct.calcsize("<" + code)
            member = f"((struct {record} *)0)->{name}"
            lines.append(f'printf("{record}.{name} %zu %zu\\n", offsetof(struct {record}, {name}), sizeof {member});')
            expected.append(f"{record}.{name} {at} {size}")
            at += size
    assert run_c(tmp_path, "\n".join(lines)).splitlines() == expected


def test_the_numbers_are_the_headers(tmp_path: Path) -> None:
    values = {f"LB_BIND_{k.name}": k.value for k in Kind}
    values |= {f"LB_ROLE_{r.name}": format.ROLE_NUMBERS[r] for r in Role}
    values |= {f"LB_OBJECT_{n}": getattr(format, f"OBJECT_{n}") for n in _FLAGS}
    values |= {"LB_PLAN_VERSION": format.VERSION, "LB_NO_STRING": format.NO_STRING}
    text = run_c(tmp_path, "".join(f'printf("{name} %u\\n", (unsigned){name});' for name in values))
    assert text.splitlines() == [f"{name} {value}" for name, value in values.items()]


def test_the_magic_is_the_headers(tmp_path: Path) -> None:
    text = run_c(tmp_path, 'for (int i = 0; i < 8; i++) printf("%02x", (unsigned char)LB_PLAN_MAGIC[i]);')
    assert bytes.fromhex(text) == format.MAGIC
