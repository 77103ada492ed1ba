"""`sweep.py CASE FOLDER WHAT…`: load a case again and again, and let each step of it fail in turn.

Runs in a process of its own with shim.c preloaded. For each function of WHAT the n-th call fails, n = 1, 2, … until a
load calls it fewer times; then the same with every later call failing too. After each attempt the process must look as
before: mappings, descriptors, the core's heap, the unwinder's frames, the linker's own records; what was loaded in
spite of the failure must work. Ends with an exception that says what was left, or prints how many failures there were.

WHAT: a name that shim.c makes fail, `interrupt` for control-C; with `/N` only every N-th call fails.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import mmap
import os
import shutil
import sys
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from cases import CASES  # type: ignore[import-not-found]  # beside this program

import latebind as lb
from latebind import _core
from latebind.elf.mapping import keep
from latebind.linker import interpose, lifetime

SHIM: Final = ctypes.PyDLL(None)  # keeps the interpreter lock, so that arming is no place for an interrupt
ERRORS: Final = {"open": errno.EMFILE, "memfd_create": errno.EMFILE, "pthread_create": errno.EAGAIN}
NOTHING: Final = (0, 0, "", "")
HEAP: Final = 64 << 20  # glibc's HEAP_MAX_SIZE: what a thread's heap may grow to, and is aligned to
EXPECTED: Final = (lb.LatebindError, OSError, MemoryError, KeyboardInterrupt)
PYTHONS_OWN: Final = (RuntimeError, SystemError)  # what CPython itself makes of some failed allocations


def footprint(what: str) -> dict[str, object]:
    """What a load must not change where `what` fails."""
    lb.this_process().owner_of(0)  # looks at the link map, and forgets what is not there any more
    gc.collect()
    found = {
        "mappings": mappings(),
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors()),
        "blocks": SHIM.faults_blocks(),
        "frames": SHIM.faults_frames(),
        "objects": len(lifetime.live),
        "hooks": len(interpose._live),
        "system": sorted(row[0] for row in _core.link_map()),
    }
    if what == "anyone":
        # CPython 3.11 loses a reference here and there when it has no memory for a frame, and with it files that are
        # open or mapped to be read, and tables of their symbols; the images of libraries are not among them.
        del found["blocks"], found["descriptors"]
        found["mappings"] = {key: size for key, size in mappings().items() if key[0] != "r--p" or not key[1]}
    return found


def open_descriptors() -> list[int]:
    """Without the one that lists them."""
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")]


def mappings() -> Counter[tuple[str, str]]:
    """(protection, file) → bytes. Without what is readable and writable and no file: the heaps of C and of Python.

    Nor what glibc keeps of threads that have ended for those to come, which depends on how many there were at once:
    what is in reserve behind a thread's heap, and the page below its stack.
    """
    rows = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, protection, _, _, inode, *rest = line.split(None, 5)
        start, end = (int(n, 16) for n in addresses.split("-"))
        kind = protection if inode == "0" else f"{protection} of a file"
        rows.append((start, end, kind, rest[0] if rest else ""))
    found: Counter[tuple[str, str]] = Counter()
    for below, (start, end, kind, path), above in zip([NOTHING, *rows], rows, [*rows[1:], NOTHING], strict=False):
        of_heap = below[2] == "rw-p" and below[0] % HEAP == 0 and end == below[0] + HEAP
        of_stack = above[2] == "rw-p" and above[0] == end and end - start == mmap.PAGESIZE
        if kind != "rw-p" and not (kind == "---p" and (of_heap or of_stack)):
            found[kind[:4], path] += end - start
    return found


def attempt(case: str, folder: Path, what: str, nth: int, *, lasts: bool) -> bool:
    """One load in which the `nth` call of `what` fails; whether it came to that."""
    space, made = lb.Namespace(), list[lb.Library]()
    if CASES[case].forgets:
        shutil.rmtree(os.environ["LATEBIND_CACHE"], ignore_errors=True)
    target = CASES[case].target(folder)
    load = partial(lb.load, namespace=space, **CASES[case].options)
    error = ERRORS.get(what, errno.ENOMEM)
    try:
        SHIM.faults_arm(what.encode(), nth, lasts, error)
        keep(made, load, target)  # so that what comes after the load, and not in it, cannot lose the library
        if what == "munmap":  # most of it comes with the close
            use(made.pop())
        seen = SHIM.faults_disarm()
    except (*EXPECTED, *PYTHONS_OWN) as e:
        assert isinstance(e, EXPECTED) or what == "anyone", repr(e)
        seen = SHIM.faults_disarm()
        assert seen >= nth, f"{e!r} without a failure"
        assert str(e) or not isinstance(e, lb.LatebindError), "an error without a text"
    if made:
        use(made.pop())
    assert space.objects == (), f"the namespace still has {space.objects}"
    if isinstance(target, int):
        os.close(target)
    return bool(seen >= nth)


def use(library: lb.Library) -> None:
    """What was loaded in spite of a failure works, and can be closed."""
    assert library.function("int answer(void)")() == 5
    library.close()


def interrupted(case: str, folder: Path, what: str, nth: int, *, lasts: bool) -> bool:
    """The same for control-C, which the profiler's hook raises."""
    hook = ctypes.cast(SHIM.faults_interrupt, ctypes.c_void_p)
    ctypes.pythonapi.PyEval_SetProfile(hook, None)
    try:
        return attempt(case, folder, what, nth, lasts=lasts)
    finally:
        ctypes.pythonapi.PyEval_SetProfile(None, None)


def sweep(case: str, folder: Path, what: str, *, lasts: bool, step: int) -> int:
    """Let every `step`-th call of `what` fail in turn; how many did."""
    one = interrupted if what == "interrupt" else attempt
    before = footprint(what)
    for failures in count():
        nth = 1 + failures * step
        hit = one(case, folder, what, nth, lasts=lasts)
        if what == "munmap":
            one(case, folder, "nothing", 1, lasts=False)  # what could not be unmapped is, by the next load
        after = footprint(what)
        if after != before:
            raise SystemExit(
                f"{case}: {what} number {nth}{' and later' if lasts else ''} left\n{difference(before, after)}"
            )
        if not hit:
            return failures
    raise AssertionError


def difference(before: dict[str, object], after: dict[str, object]) -> str:
    """What changed, one line each."""
    lines = []
    for name, old in before.items():
        new = after[name]
        if isinstance(old, dict) and isinstance(new, dict):
            lines += [
                f"{name}: {key} {old.get(key)} → {new.get(key)}" for key in old | new if old.get(key) != new.get(key)
            ]
        elif old != new:
            lines.append(f"{name}: {old} → {new}")
    return "\n".join(lines)


def core_range() -> tuple[int, int]:
    """Where the core lies in memory."""
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/_core." in line]
    return int(lines[0].split("-")[0], 16), int(lines[-1].split("-")[1].split()[0], 16)


def main(case: str, folder: Path, whats: list[str]) -> None:
    """Everything that can fail, once and for good."""
    SHIM.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_bool, ctypes.c_int]
    SHIM.faults_disarm.restype = SHIM.faults_blocks.restype = SHIM.faults_frames.restype = ctypes.c_long
    SHIM.faults_core.argtypes = [ctypes.c_uint64, ctypes.c_uint64]
    SHIM.faults_core(*core_range())
    os.environ.pop("LD_PRELOAD", None)  # or each namespace would get the shim as well
    for _ in range(2):  # caches, stacks of threads, libffi's pages
        attempt(case, folder, "nothing", 1, lasts=False)
    gc.collect()
    gc.freeze()  # so that each later collection is quick
    total = 0
    for what in whats:
        name, _, step = what.partition("/")
        for lasts in (False,) if name in {"anyone", "interrupt"} else (False, True):
            total += sweep(case, folder, name, lasts=lasts, step=int(step or 1))
    print(total)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
