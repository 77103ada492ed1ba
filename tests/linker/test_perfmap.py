"""Names for perf: the map file, and what perf itself makes of our objects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.linker.perfmap import map_lines, map_path
from support import needs

if TYPE_CHECKING:
    from support.compiler import Compiler

SOURCE = """
    volatile unsigned long sink;
    __attribute__((noinline)) static void hidden_work(long n) { for (long i = 0; i < n; i++) sink += i; }
    void busy(long n) { hidden_work(n); }
    int variable;
"""


def run(script: str, before: str = "") -> tuple[list[str], str]:
    """The lines of the map file that `script` leaves when the names are asked for, and its output."""
    first = f"import os; open(f'/tmp/perf-{{os.getpid()}}.map', 'a').write({before!r})\n" if before else ""
    process = subprocess.Popen(
        [sys.executable, "-c", first + script], env=os.environ | {"LATEBIND_PERF_MAP": "1"}, stdout=subprocess.PIPE
    )
    out = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0
    path = Path(map_path().replace(str(os.getpid()), str(process.pid)))
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines, out


def test_each_function_has_a_line(cc: Compiler) -> None:
    path = cc.shared(SOURCE)
    lines, out = run(f"import latebind as lb; l = lb.load({str(path)!r}); print(l.symbol('busy'))")
    found = {name: (int(start, 16), int(size, 16)) for start, size, name in (line.split(" ", 2) for line in lines)}
    elf = lb.read(path)
    sizes = {s.name: s.size for s in elf.static_symbols}
    assert found["busy"] == (int(out), sizes["busy"])
    assert found["hidden_work"][1] == sizes["hidden_work"]
    assert "variable" not in found
    assert all(line == line.lower() and not line.startswith("0x") for line in lines)


def test_lines_of_others_stay(cc: Compiler) -> None:
    """CPython's own trampolines (-X perf) write to the same file."""
    script = f"import latebind as lb; lb.load({str(cc.shared(SOURCE))!r}).close()"
    lines, _ = run(script, before="1000 20 somebody elses\n")
    assert lines[0] == "1000 20 somebody elses"
    assert [line.split()[2] for line in lines[1:]].count("busy") == 1


def test_a_library_is_written_each_time_it_is_loaded(cc: Compiler) -> None:
    load = f"lb.load({str(cc.shared(SOURCE))!r}, namespace=lb.Namespace())"
    lines, _ = run(f"import latebind as lb; a = {load}; b = {load}; a.close(); c = {load}")
    assert [line.split()[2] for line in lines].count("busy") == 3


def test_it_may_be_asked_for_later(cc: Compiler) -> None:
    script = f"""
import os, latebind as lb
from latebind.linker import perfmap
l = lb.load({str(cc.shared(SOURCE))!r})
print(os.path.exists(perfmap.map_path()))
perfmap.enable()
text = open(perfmap.map_path()).read()
os.unlink(perfmap.map_path())
print(' busy' in text, oct(l.symbol('busy') > 0))"""
    environment = {k: v for k, v in os.environ.items() if k != "LATEBIND_PERF_MAP"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[:2] == ["False", "True"]


def test_a_link_in_its_place_is_not_followed(cc: Compiler, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    script = f"""
import os, latebind as lb
from latebind.linker import perfmap
os.symlink({str(target)!r}, perfmap.map_path())
l = lb.load({str(cc.shared(SOURCE))!r})
try:
    perfmap.enable()
except lb.SystemFailure as e:
    print(e)
os.unlink(perfmap.map_path())"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "perf-" in ran.stdout
    assert target.read_text() == "mine"


def test_one_line_for_a_function_with_several_names(cc: Compiler) -> None:
    text = 'int f(void) { return 1; } __attribute__((alias("f"))) int g(void);'
    lines = map_lines(lb.read(cc.shared(text)), 0x1000)
    assert len([line for line in lines if line.split()[2] in {"f", "g"}]) == 1
    assert lines == sorted(lines, key=lambda line: int(line.split()[0], 16))


@pytest.mark.slow  # not every machine lets it record
@pytest.mark.parametrize("source", ["file", "bytes"])
def test_perf_names_the_function_that_ran(cc: Compiler, tmp_path: Path, source: str) -> None:
    """Of a file without our help; of bytes with the map."""
    path = cc.shared(SOURCE)
    target = repr(str(path)) if source == "file" else f"open({str(path)!r}, 'rb').read()"
    script = (
        f"import os, latebind as lb; print(os.getpid()); lb.load({target}).function('void busy(long)')(150_000_000)"
    )
    perf, data = needs.program("perf", "linux-perf"), tmp_path / "perf.data"
    environment = os.environ | {"LATEBIND_PERF_MAP": "0" if source == "file" else "1"}
    recorded = subprocess.run(
        [perf, "record", "-q", "-e", "cpu-clock:u", "-o", str(data), sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if recorded.returncode != 0:
        pytest.skip(f"perf may not record here: {recorded.stderr.strip()}")
    listed = subprocess.run(
        [perf, "script", "-i", str(data), "-F", "ip,sym"], capture_output=True, text=True, check=True, timeout=60
    )
    Path(f"/tmp/perf-{int(recorded.stdout)}.map").unlink(missing_ok=True)
    assert listed.stdout.split().count("hidden_work") > 5
