"""Fuzz `latebind.elf`: any bytes give an answer or a `LatebindError` that names the file, within time and memory.

`elf_target.py CORPUS [--seconds N] [--runs N]`. With atheris (coverage-guided) where it is installed, else with
plain mutation of the corpus. An input that breaks the rule is left in CORPUS/../finding-elf.
"""

from __future__ import annotations

import argparse
import importlib
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import atheris
except ImportError:
    atheris = None

MODULES = (
    "archive", "compressed", "core_file", "gnu_property", "got", "init_array", "known_note", "plt",
    "section_relocation",
)  # fmt: skip  # those that are imported when they are needed would escape the instrumentation

if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["latebind.elf"]):
        for module in MODULES:
            importlib.import_module(f"latebind.elf.{module}")

from latebind._core import summarize_bytes  # noqa: E402
from latebind.elf import read, read_archive, read_member  # noqa: E402  (after the instrumentation)
from latebind.elf.known_note import describe  # noqa: E402
from latebind.errors import LatebindError, MalformedElf  # noqa: E402

if TYPE_CHECKING:
    from types import FrameType

    from latebind.elf import Elf

QUESTIONS = (
    "segments", "sections", "dynamic", "interpreter", "notes", "section_notes", "build_id", "abi_tag", "properties",
    "optional_dependencies", "package", "plugin_records", "core", "symbols", "static_symbols", "hash_tables",
    "version_definitions", "version_needs", "relocations", "section_relocations", "init_functions", "got", "plt",
)  # fmt: skip
SLOWEST = 10  # seconds of processor time for one input; an honest file of this size takes milliseconds
MEMORY = 2 << 30


def ask(elf: Elf) -> None:
    """Every question that there is; a question may be answered with a `LatebindError`, and the next one is asked."""
    for question in QUESTIONS:
        try:
            getattr(elf, question)
        except LatebindError as error:
            check(elf.path, error)
    check_summary(elf)
    try:
        for note in elf.notes:
            describe(elf.source, note)
        for section in elf.sections:
            elf.section_contents(section, limit=1 << 22)
        for _ in elf.symbols, elf.relocations, elf.static_symbols:
            list(_)
    except LatebindError as error:
        check(elf.path, error)


def check_summary(elf: Elf) -> None:
    """The rule: the core says what `Elf` says, or nothing."""
    values = summarize_bytes(elf.data, elf.identity)
    if values is not None:
        h, d = elf.header, elf.dynamic
        assert values[:-1] == (
            elf.identity, h.elf_class, h.data, h.os_abi, h.type, h.machine, elf.interpreter, d.needed, d.soname,
            d.rpath, d.runpath, d.flags, d.flags_1, elf.is_dynamic,
        )  # fmt: skip


def check(name: str, error: LatebindError) -> None:
    """The rule: a malformed file is named."""
    assert not isinstance(error, MalformedElf) or error.file == name, f"{error!r} does not name {name}"
    assert str(error)


def test_one_input(data: bytes) -> None:
    """The target: read `data` as an ELF file and as an archive."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SLOWEST)
    try:
        if data.startswith((b"!<arch>\n", b"!<thin>\n")):
            archive = read_archive(data, name="fuzz.a")
            for member in archive.members:
                if member.path is None:  # a thin archive must not lead out of the fuzzer
                    ask(read_member(archive, member))
        else:
            ask(read(data, name="fuzz"))
    except LatebindError as error:
        assert str(error)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def too_slow(_signal: int, _frame: FrameType | None) -> None:
    """A hang is a finding."""
    raise TimeoutError(f"one input took more than {SLOWEST} seconds")


def mutate(data: bytearray, dice: random.Random) -> None:
    """Change `data` the way damaged and hostile files differ from honest ones."""
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not data:
            return
        at = dice.randrange(len(data))
        width = dice.choice((1, 2, 4, 8))
        match dice.randrange(5):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                value = dice.choice(
                    (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data), 1 << 63, (1 << 64) - 1)
                )
                data[at : at + width] = value.to_bytes(8, "little")[:width]
            case 2:
                data[at] ^= 1 << dice.randrange(8)
            case 3:
                other = dice.randrange(len(data))
                data[at : at + width] = data[other : other + width]
            case _:
                del data[at : at + dice.choice((1, 4, 24, len(data)))]


def plainly(corpus: Path, seconds: float, runs: int) -> int:
    """Mutate the corpus without knowledge of coverage; the number of inputs that were tried."""
    seeds = [path.read_bytes() for path in sorted(corpus.iterdir())]
    dice = random.Random(time.time_ns())
    end = time.monotonic() + seconds if seconds else float("inf")
    count = 0
    while time.monotonic() < end and (not runs or count < runs):
        data = bytearray(dice.choice(seeds))
        mutate(data, dice)
        count += 1
        try:
            test_one_input(bytes(data))
        except BaseException:
            (corpus.parent / "finding-elf").write_bytes(data)
            raise
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    signal.signal(signal.SIGVTALRM, too_slow)
    if atheris is None or options.plain:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        print(f"elf: {plainly(options.corpus, options.seconds, options.runs)} inputs, no finding")
        return
    atheris.Setup(
        [
            sys.argv[0], str(options.corpus), f"-max_total_time={options.seconds}", f"-runs={options.runs or -1}",
            f"-artifact_prefix={options.corpus.parent}/finding-elf-", "-rss_limit_mb=2048", "-max_len=65536",
            "-print_final_stats=1", "-verbosity=0",
        ],
        test_one_input,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    main()
