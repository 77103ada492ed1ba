"""`flips.py plan|load COUNT SEED SHIM FILE…`: bits of libraries flipped at random.

`plan` plans the loading of each damaged file in this process, which must come to an answer or a `LatebindError`.
`load` loads each in a child and closes it again. What a damaged library does when its own code runs is nobody's
promise: it may crash, hang or exit. The linker may not, and crash.c tells the two apart. Half of the flips go anywhere
in a file, half to its tables, which is where a linker looks. Prints how many were loaded, refused, and ended by the
library.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import Final

import latebind as lb
from latebind.linkplan import make_plan
from latebind.search import Files

REPORT: Final = struct.Struct("qQQq")  # struct report of crash.c
NOBODY, LINKER, C_LIBRARY = range(3)
SECONDS: Final = 1.0  # of processor time, for one load
PATIENCE: Final = 20  # seconds of any time
ROOM: Final = 1 << 30  # bytes of memory, for planning: a size in a damaged file is no reason to ask for more
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4
SHT_NOBITS: Final = 8


class Damage:
    """Damaged copies of `paths`, always the same ones for a seed."""

    def __init__(self, paths: list[str], seed: int) -> None:
        self.dice = random.Random(seed)
        self.files = [(Path(p).read_bytes(), tables(p), code(p)) for p in paths]

    def next(self) -> tuple[bytes, str, bool]:
        """A damaged file, what was done to it, and whether that was done to its code too."""
        number = self.dice.randrange(len(self.files))
        original, ranges, instructions = self.files[number]
        data, done, in_code = bytearray(original), [], False
        for _ in range(self.dice.choice((1, 1, 1, 2, 4))):
            start, size = self.dice.choice(ranges) if self.dice.random() < 0.5 else (0, len(data))
            at, bit = start + self.dice.randrange(size), self.dice.randrange(8)
            data[at] ^= 1 << bit
            in_code |= any(at - low < length for low, length in instructions if at >= low)
            done.append(f"{at:#x}^{1 << bit:#x}")
        return bytes(data), f"file {number}: {' '.join(done)}", in_code


def tables(path: str) -> list[tuple[int, int]]:
    """(offset, size) of the headers and of each section that is loaded and not code."""
    elf = lb.read(path)
    found = [(0, 64), (elf.header.phoff, elf.header.phentsize * elf.header.phnum)]
    found += [
        (s.offset, s.size)
        for s in elf.sections
        if s.flags & SHF_ALLOC and not s.flags & SHF_EXECINSTR and s.type != SHT_NOBITS and s.size
    ]
    return found


def code(path: str) -> list[tuple[int, int]]:
    """(offset, size) of each section of instructions."""
    return [(s.offset, s.size) for s in lb.read(path).sections if s.flags & SHF_EXECINSTR]


def plan_all(count: int, damage: Damage) -> tuple[int, int, int]:
    """Every damaged file planned, in this process."""
    planned = refused = 0
    files = Files()
    room = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for _ in range(count):
        data, done, _ = damage.next()
        signal.alarm(PATIENCE)
        try:
            plan = make_plan(lb.read(data), files)
            _ = plan.bindings, plan.init_order, plan.unresolved, plan.missing
            planned += 1
        except lb.LatebindError as e:
            assert str(e)
            refused += 1
        except BaseException as e:
            e.add_note(done)
            raise
    return planned, refused, 0


def watch(shim: ctypes.CDLL) -> None:
    """Tell crash.c whose code is where."""
    own = {
        "_core.": LINKER,
        "/libasan.": LINKER,
        "/libubsan.": LINKER,
        "libpython": LINKER,
        "/python3": LINKER,
        "lib-dynload": LINKER,
    }
    system = ("/libc.so", "/ld-linux", "/libgcc_s.so", "[vdso]", "/libm.so")
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, protection, *_, path = line.split(None, 5) if line.count(" ") > 4 else (*line.split(None, 4), "")
        if "x" not in protection:
            continue
        owner = next((who for part, who in own.items() if part in path), NOBODY)
        if any(part in path for part in system):
            owner = C_LIBRARY
        start, end = (int(n, 16) for n in addresses.split("-"))
        shim.crash_range(ctypes.c_uint64(start), ctypes.c_uint64(end), owner)


def load_all(count: int, damage: Damage, shim: ctypes.CDLL, damaged: Path) -> tuple[int, int, int]:
    """Every damaged file loaded and closed, each in a child."""
    watch(shim)
    shared = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    outcomes = {0: 0, 1: 0, 99: 0}
    for number in range(count):
        data, done, in_code = damage.next()
        shared[:] = bytes(4096)
        child = os.fork()
        if child == 0:
            load_in_child(data, damaged if number % 2 else None, shim, address)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        number_of_signal, pc, blamed, is_ours = REPORT.unpack_from(shared)
        planned = bool(shared[REPORT.size])
        # Damaged instructions may come back with the linker's registers spoiled: then it crashes, and is not to blame.
        blamed_on_us = is_ours and not (planned and in_code)
        if blamed_on_us or status == 98 or (not planned and status not in (0, 1)):
            raise SystemExit(f"{done}: status {status}, signal {number_of_signal} at {pc:#x}, {blamed:#x}")
        outcomes[status if status in (0, 1) else 99] += 1
    return outcomes[0], outcomes[1], outcomes[99]


def load_in_child(data: bytes, path: Path | None, shim: ctypes.CDLL, shared: int) -> None:
    """Exits with 0 (loaded), 1 (refused), 98 (an exception that is none of ours), or as the library wishes."""
    for fd in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    if path is not None:
        path.write_bytes(data)
    shim.crash_watch(ctypes.c_void_p(shared))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(PATIENCE)
    status = 98
    try:
        space = lb.Namespace()
        plan = lb.plan(str(path) if path is not None else data, into=space)
        ctypes.memset(shared + REPORT.size, 1, 1)
        lb.load(plan, namespace=space).close()
        status = 0
    except lb.LatebindError as e:
        status = 1 if str(e) else 98
    finally:
        os._exit(status)


def main(what: str, count: int, seed: int, library: str, paths: list[str]) -> None:
    """Do it, and print the three numbers."""
    damage = Damage(paths, seed)
    for path in paths:
        lb.load(path, namespace=lb.Namespace()).close()  # imports what a load needs
    if what == "plan":
        print(*plan_all(count, damage))
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(*load_all(count, damage, ctypes.CDLL(library), Path(folder, "damaged.so")))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:])
