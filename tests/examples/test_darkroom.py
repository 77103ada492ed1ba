"""examples/darkroom, whole: real pictures go through it, and other programs say whether what comes out is right.

The reference for the pictures is written here: PNG by the specification and zlib, the filters by their definitions.
Negatives are read by the program zstd, the catalog by the program sqlite3, and the PNG files also by libpng's pngfix.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import latebind
from support import needs
from support.command import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "darkroom"


class Image(NamedTuple):
    width: int
    height: int
    channels: int
    pixels: bytes


def decoded(data: bytes) -> Image:
    """A PNG file of 8 bits a channel without palette and interlacing (PNG specification, 9.2: the filters)."""
    at, header, packed = 8, b"", b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IHDR":
            header = data[at + 8 : at + 8 + size]
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += size + 12
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert (depth, interlaced) == (8, 0)
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    raw, stride, above, pixels = zlib.decompress(packed), width * channels, bytes(width * channels), b""
    for y in range(height):
        kind, *row = raw[y * (stride + 1) : (y + 1) * (stride + 1)]
        for x in range(stride):
            left = row[x - channels] if x >= channels else 0
            corner = above[x - channels] if x >= channels else 0
            row[x] = (row[x] + predicted(kind, left, above[x], corner)) & 255
        above = bytes(row)
        pixels += above
    return Image(width, height, channels, pixels)


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        estimate = left + up - corner
        return min((left, up, corner), key=lambda value: abs(estimate - value))
    return (0, left, up, (left + up) // 2)[kind]


def grey(image: Image, *, inverted: bool = False) -> Image:
    pixels = bytearray()
    for at in range(0, len(image.pixels), image.channels):
        pixel = image.pixels[at : at + image.channels]
        luma = pixel[0] if image.channels < 3 else (299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2] + 500) // 1000
        pixels.append(255 - luma if inverted else luma)
        if image.channels % 2 == 0:
            pixels.append(pixel[-1])
    return Image(image.width, image.height, 2 if image.channels % 2 == 0 else 1, bytes(pixels))


def shrunk(image: Image) -> Image:
    width, height, n = image.width // 2, image.height // 2, image.channels

    def value(x: int, y: int, c: int) -> int:
        return image.pixels[(y * image.width + x) * n + c]

    pixels = bytes(
        (value(2 * x, 2 * y, c) + value(2 * x + 1, 2 * y, c) + value(2 * x, 2 * y + 1, c)
         + value(2 * x + 1, 2 * y + 1, c) + 2) // 4
        for y in range(height) for x in range(width) for c in range(n)
    )  # fmt: skip
    return Image(width, height, n, pixels)


def framed(image: Image) -> Image:
    row, white = image.width * image.channels, b"\xff" * image.channels
    rows = [image.pixels[at : at + row] for at in range(0, len(image.pixels), row)]
    edge = [white * (image.width + 8)] * 4
    whole = [*edge, *(white * 4 + row + white * 4 for row in rows), *edge]
    return Image(image.width + 8, image.height + 8, image.channels, b"".join(whole))


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(Path(latebind.__file__).parents[1]),
        "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}",
    }


def make(folder: Path, *words: str) -> str:
    rustc = needs.working("rustc", "rustc")
    command = [needs.program("make", "make"), "-s", "-C", str(folder), f"PYTHON={sys.executable}", f"RUSTC={rustc}"]
    run = subprocess.run([*command, *words], capture_output=True, text=True, check=False, env=environment())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in a folder of its own, its plugins built and its sample pictures drawn."""
    for header, package in (("zstd.h", "libzstd-dev"), ("png.h", "libpng-dev"), ("sqlite3.h", "libsqlite3-dev")):
        needs.header(header, package)
    needs.program("g++", "g++")
    folder = tmp_path_factory.mktemp("darkroom") / "darkroom"
    fresh = shutil.ignore_patterns("*.so", "*.h", "*.hpp", "bindings.rs", "album", "pictures", "__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=fresh)
    make(folder, "all", "pictures")
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of it for a test that changes something."""
    return Path(shutil.copytree(built, tmp_path / "darkroom"))


def darkroom(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "darkroom.py", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment())


def test_pictures_are_developed_as_the_reference_says(built: Path, tmp_path: Path) -> None:
    pictures = sorted((built / "pictures").iterdir())
    run = darkroom(built, "develop", "--out", tmp_path, *pictures)
    assert (run.returncode, run.stderr) == (0, "[log] the catalog is open\n")
    rows = []
    for path in pictures:
        negative, developed = decoded(path.read_bytes()), tmp_path / path.name
        expected = framed(shrunk(grey(negative)))
        assert decoded(developed.read_bytes()) == expected
        packed = tmp_path / f"{path.stem}.pixels.zst"
        rows.append((path.stem, expected.width, expected.height, developed.stat().st_size, packed.stat().st_size))
        zstd = subprocess.run([needs.program("zstd", "zstd"), "-dc", packed], capture_output=True, check=True)
        assert zstd.stdout == negative.pixels
        pngfix = subprocess.run([needs.program("pngfix", "libpng-tools"), developed], capture_output=True, check=True)
        assert pngfix.stdout.startswith(b"IDAT OK ")
    query = [needs.program("sqlite3", "sqlite3"), "catalog.db", "SELECT * FROM pictures ORDER BY name"]
    table = subprocess.run(query, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert table.splitlines() == ["|".join(map(str, row)) for row in rows]
    listed = darkroom(built, "list", "--out", tmp_path, "*a*").stdout
    assert [line.partition(":")[0] for line in listed.splitlines()] == ["mandelbrot", "ramp"]


def test_a_picture_that_was_made_by_others(built: Path, tmp_path: Path) -> None:
    """The browser's icon, which the tests of reports need anyway: every filter of PNG, and an alpha channel."""
    needs.program("chromium", "chromium")
    icon = Path("/usr/share/icons/hicolor/128x128/apps/chromium.png")
    assert darkroom(built, "develop", "--out", tmp_path, icon).returncode == 0
    assert decoded((tmp_path / icon.name).read_bytes()) == framed(shrunk(grey(decoded(icon.read_bytes()))))


class Program:
    """darkroom.py, given one name of a picture after the other."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-u", "darkroom.py", "develop", "--watch", "--out", "album", "-"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, name: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()

    def develop(self, name: str) -> str:
        assert self.process.stdout is not None
        self.ask(name)
        return self.process.stdout.readline()

    def log(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()


@pytest.fixture
def program(folder: Path) -> Iterator[Program]:
    made = Program(folder)
    yield made
    made.process.kill()
    made.process.communicate()


def test_a_filter_is_replaced_while_the_pipeline_runs(folder: Path, program: Program) -> None:
    source, result = folder / "pictures" / "ramp.png", folder / "album" / "ramp.png"
    assert program.log() == "[log] the catalog is open\n"
    assert program.develop("pictures/ramp.png").startswith("ramp: 160×120 → 88×68, ")
    assert decoded(result.read_bytes()) == framed(shrunk(grey(decoded(source.read_bytes()))))
    make(folder / "plugins" / "grey", "-B", "FLAGS=-DINVERTED")
    assert program.log() == "[log] reloaded darkroom.grey 1.0.0: generation 2\n"
    assert program.develop("pictures/ramp.png").startswith("ramp: ")
    assert decoded(result.read_bytes()) == framed(shrunk(grey(decoded(source.read_bytes()), inverted=True)))


def test_a_build_that_is_broken_leaves_the_old_one_at_work(folder: Path, program: Program) -> None:
    program.log()
    draft = folder / "plugins" / "zstd" / "zstd.so.new"
    draft.write_bytes((folder / "plugins" / "zstd" / "zstd.so").read_bytes()[:5000])
    draft.replace(folder / "plugins" / "zstd" / "zstd.so")
    assert program.log().startswith("[log] darkroom.zstd goes on as it is: ")
    assert program.develop("pictures/ramp.png").startswith("ramp: ")


def test_no_picture_is_lost_or_done_twice_while_plugins_are_replaced(folder: Path, program: Program) -> None:
    """A native filter, the one in Python and the packer, whose totals go on, are replaced meanwhile."""
    program.log()
    names = [f"{kind}{number}" for number in range(20) for kind in ("ramp", "disc")]
    for name in names:
        shutil.copy(folder / "pictures" / f"{name.rstrip('0123456789')}.png", folder / f"{name}.png")
    for number, name in enumerate(names):
        program.ask(f"{name}.png")
        if number % 8 == 4:
            for library in ("grey/grey.so", "zstd/zstd.so", "frame/frame.py"):
                path = folder / "plugins" / library
                shutil.copy(path, f"{path}.new")
                Path(f"{path}.new").replace(path)
            for _ in range(3):
                assert program.log().startswith("[log] reloaded darkroom.")
    out, errors = program.process.communicate(timeout=60)
    assert (program.process.returncode, errors) == (0, "")
    lines = out.splitlines()
    assert Counter(line.partition(":")[0] for line in lines[:-1]) == Counter(names)
    taken = 160 * 120 * (1 + 4) * 20
    assert lines[-1].startswith(f"40 negatives, {taken} bytes packed to ")


def test_what_is_no_picture_is_told_and_stops_no_other(built: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes((built / "pictures" / "disc.png").read_bytes()[:300])
    run = darkroom(built, "develop", "--out", tmp_path / "album", cut, built / "pictures" / "ramp.png")
    assert run.returncode == 1
    assert "[log] cut.png cannot be developed: plugin darkroom.png 1.0.0, darkroom.codec.decode: cut: " in run.stderr
    assert sorted(p.name for p in (tmp_path / "album").iterdir()) == ["catalog.db", "ramp.pixels.zst", "ramp.png"]


def test_a_filter_that_cannot_be_loaded_is_done_without(folder: Path) -> None:
    (folder / "plugins" / "grey" / "grey.so").unlink()
    (folder / "plugins" / "shrink" / "plugin.yaml").write_text("id: 3")
    run = darkroom(folder, "develop", "pictures/ramp.png")
    assert run.returncode == 0
    assert "[log] without darkroom.grey: " in run.stderr
    assert "[log] left out: " in run.stderr
    expected = framed(decoded((folder / "pictures" / "ramp.png").read_bytes()))
    assert decoded((folder / "album" / "ramp.png").read_bytes()) == expected


@pytest.mark.slow
def test_every_plugin_of_it_passes_every_trial(built: Path) -> None:
    checked = make(built, "check")
    plugins = [line.split()[0] for line in checked.splitlines() if line.endswith(" is fine:")]
    assert plugins == [f"darkroom.{name}" for name in ("png", "zstd", "catalog", "grey", "shrink", "frame")]


def test_make_run_is_all_that_it_takes(built: Path) -> None:
    assert make(built, "run").splitlines()[-3:][0].startswith("disc: 88×68, ")
