"""What the Python fuzz targets share: coverage guidance where atheris is installed, else plain mutation of a corpus.

A target is a function from bytes that raises nothing for any of them. An input for which it does raise, or that takes
more than `SLOWEST` seconds of processor time, is a finding and is left beside the corpus as finding-NAME….
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

SLOWEST = 10  # seconds of processor time for one input; an honest file of this size takes milliseconds
MEMORY = 2 << 30


def instrument(package: str, modules: Sequence[str]) -> None:
    """Import `modules` of `package` so that atheris sees what they cover; without it they are imported as usual."""
    if atheris is None or "--plain" in sys.argv:
        return
    with atheris.instrument_imports(include=[package]):
        for module in modules:
            importlib.import_module(f"{package}.{module}")


class Limit:
    """A block that may take `SLOWEST` seconds of processor time, as in ``with Limit():``."""

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, SLOWEST)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
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


def plainly(name: str, target: Callable[[bytes], None], corpus: Path, seconds: float, runs: int) -> int:
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
            target(bytes(data))
        except BaseException:
            (corpus.parent / f"finding-{name}").write_bytes(data)
            raise
    return count


def main(name: str, target: Callable[[bytes], None], longest: int = 65536) -> None:
    """The command line: `CORPUS [--seconds N] [--runs N] [--plain]`; inputs have up to `longest` bytes."""
    parser = argparse.ArgumentParser(description=f"Fuzz {name}.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    signal.signal(signal.SIGVTALRM, _too_slow)
    if atheris is None or options.plain:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        print(f"{name}: {plainly(name, target, options.corpus, options.seconds, options.runs)} inputs, no finding")
        return
    atheris.Setup(
        [
            sys.argv[0], str(options.corpus), f"-max_total_time={options.seconds}", f"-runs={options.runs or -1}",
            f"-artifact_prefix={options.corpus.parent}/finding-{name}-", "-rss_limit_mb=2048", f"-max_len={longest}",
            "-print_final_stats=1", "-verbosity=0",
        ],
        target,
    )  # fmt: skip
    atheris.Fuzz()
