"""What the search depends on besides the files: the environment's variables, the CPU's level, the linker's folders.

`Environment` is a value, so that a search can be repeated, tested without touching the process's environment, and
done for another machine.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from latebind.errors import LatebindError
from latebind.search.cache import CACHE_FLAGS, LoaderCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.elf import Elf
    from latebind.elf.file import FileIdentity
    from latebind.search.files import Files

INTERPRETERS: Final = {
    # (e_machine, class bits) → where glibc's psABI puts the dynamic linker
    (62, 64): "/lib64/ld-linux-x86-64.so.2",
    (62, 32): "/libx32/ld-linux-x32.so.2",
    (3, 32): "/lib/ld-linux.so.2",
    (183, 64): "/lib/ld-linux-aarch64.so.1",
    (40, 32): "/lib/ld-linux-armhf.so.3",
    (243, 64): "/lib/ld-linux-riscv64-lp64d.so.1",
    (21, 64): "/lib64/ld64.so.2",
    (22, 64): "/lib/ld64.so.1",
    (258, 64): "/lib64/ld-linux-loongarch-lp64d.so.1",
}

_PLATFORMS: Final = {62: "x86_64", 3: "i686", 183: "aarch64", 40: "v7l", 243: "riscv64", 21: "ppc64le", 22: "s390x"}

_MUSL_NAMES: Final = {
    62: "x86_64",
    3: "i386",
    183: "aarch64",
    40: "armhf",
    243: "riscv64",
    21: "powerpc64le",
    22: "s390x",
}

_TRIPLES: Final = {
    # Debian's multiarch folders, for a machine whose own dynamic linker is not there to be asked
    (62, 64): "x86_64-linux-gnu",
    (3, 32): "i386-linux-gnu",
    (183, 64): "aarch64-linux-gnu",
    (40, 32): "arm-linux-gnueabihf",
    (243, 64): "riscv64-linux-gnu",
    (21, 64): "powerpc64le-linux-gnu",
    (22, 64): "s390x-linux-gnu",
}

_LEVELS: Final = (
    # glibc's x86-64 ISA levels (x86-64 psABI, "Micro-Architecture Levels"), in the kernel's names, cumulative
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe"),
    ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
)
_HASWELL: Final = frozenset("avx2 bmi1 bmi2 abm movbe popcnt fma".split())  # glibc 2.36's AT_PLATFORM override

_SYSTEM_DIRS = re.compile(rb"(?:/[\w./+-]*lib[\w./+-]*/\0){2,}")


@dataclass(frozen=True, slots=True)
class Environment:
    """The search's parameters for one kind of object (machine and class).

    `library_path` is LD_LIBRARY_PATH split; `hwcaps` the glibc-hwcaps subdirectories that the CPU can use, best
    first; `system_dirs` the linker's own folders; `lib` and `platform` what ``$LIB`` and ``$PLATFORM`` mean. `secure`
    is ld.so's secure-execution mode (set-user-ID programs), `is_musl` says whose rules apply. `invoked` means that the
    dynamic linker is itself the program, with the file as its argument (``ld.so FILE``, as ldd runs it): the kernel
    then does not tell where the file is.
    """

    library_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    hwcaps: tuple[str, ...] = ()
    system_dirs: tuple[str, ...] = ("/lib", "/usr/lib")
    lib: str = "lib"
    platform: str = ""
    cache: LoaderCache = field(default_factory=lambda: LoaderCache(None))
    cache_flags: int = 0
    interpreter: str | None = None
    secure: bool = False
    is_musl: bool = False
    invoked: bool = False

    def with_library_path(self, folders: tuple[str, ...]) -> Environment:
        """The same, with `folders` searched before LD_LIBRARY_PATH's."""
        return replace(self, library_path=folders + self.library_path) if folders else self


def split_path_list(text: str) -> tuple[str, ...]:
    """LD_LIBRARY_PATH's folders: separated by colons or semicolons, an empty one is the current folder (ld.so(8))."""
    return tuple(part or "." for part in re.split("[:;]", text)) if text else ()


def environment_for(
    elf: Elf,
    files: Files,
    variables: Mapping[str, str] | None = None,
    *,
    secure: bool = False,
    interpreter: str | None = None,
) -> Environment:
    """The environment in which `elf` would be loaded.

    `variables` are the process's environment variables (default: this process's for its own machine; none below a
    root, where this process's settings mean nothing). `secure` asks for secure-execution mode (ld.so(8)): then
    LD_LIBRARY_PATH is ignored, LD_PRELOAD restricted, and $ORIGIN trusted only below the default folders.
    `interpreter` is the dynamic linker that does it (default: the one that `elf` names).
    """
    if variables is None:
        variables = os.environ if files.is_native else {}
    key = (elf.header.machine, elf.header.bits)
    interpreter = interpreter or elf.interpreter or _usual_interpreter(elf, key)
    is_musl = interpreter is not None and os.path.basename(interpreter).startswith("ld-musl-")
    dirs = _musl_dirs(files, interpreter or "") if is_musl else _system_dirs(files, interpreter, key)
    hwcaps, haswell = _cpu_level() if key == (62, 64) and not is_musl else ((), False)
    return Environment(
        library_path=() if secure else split_path_list(variables.get("LD_LIBRARY_PATH", "")),
        preload=_preload_list(files, variables, is_musl=is_musl),
        hwcaps=hwcaps,
        system_dirs=dirs,
        lib=dirs[0].strip("/"),
        platform="haswell" if haswell else _PLATFORMS.get(key[0], ""),
        cache=LoaderCache(None) if is_musl else _cache(files),
        cache_flags=CACHE_FLAGS.get(key, 0x0003),
        interpreter=interpreter,
        secure=secure,
        is_musl=is_musl,
    )


def _usual_interpreter(elf: Elf, key: tuple[int, int]) -> str | None:
    """The dynamic linker of a file that names none (a library): musl's where the file asks for musl's C library."""
    if any(name == "libc.so" or name.startswith("libc.musl-") for name in elf.dynamic.needed):
        return f"/lib/ld-musl-{_MUSL_NAMES.get(key[0], 'x86_64')}.so.1"
    return INTERPRETERS.get(key)


def _preload_list(files: Files, variables: Mapping[str, str], *, is_musl: bool) -> tuple[str, ...]:
    """LD_PRELOAD's names, separated by spaces or colons, and behind them those of /etc/ld.so.preload (glibc only)."""
    system = b"" if is_musl else files.setting("/etc/ld.so.preload") or b""
    text = re.sub(r"#.*", "", system.decode("utf-8", "surrogateescape"))
    return tuple(name for part in (variables.get("LD_PRELOAD", ""), text) for name in re.split(r"[:\s]+", part) if name)


def _musl_dirs(files: Files, interpreter: str) -> tuple[str, ...]:
    """Musl's folders: from /etc/ld-musl-ARCH.path beside its linker, else the ones compiled in (ldso/dynlink.c)."""
    arch = os.path.basename(interpreter).removeprefix("ld-musl-").partition(".so")[0]
    listed = files.setting(f"/etc/ld-musl-{arch}.path")
    if listed is None:
        return ("/lib", "/usr/local/lib", "/usr/lib")
    return tuple(d for d in re.split(r"[:\n]", listed.decode("utf-8", "surrogateescape")) if d) or ("/lib",)


# Weak: a `Files` that nobody uses any more must not stay, since it keeps every file that it read mapped.
_caches: WeakKeyDictionary[Files, LoaderCache] = WeakKeyDictionary()


def _cache(files: Files) -> LoaderCache:
    """The cache of this file system, read once for each `Files`."""
    known = _caches.get(files)
    if known is None:
        known = _caches[files] = LoaderCache(files.setting("/etc/ld.so.cache"))
    return known


def _system_dirs(files: Files, interpreter: str | None, key: tuple[int, int]) -> tuple[str, ...]:
    """The trusted folders that were compiled into this dynamic linker: read from its file, not guessed.

    glibc keeps them as consecutive strings, each with a slash at its end (elf/dl-load.c, `system_dirs`).
    """
    found: tuple[str, ...] = ()
    if interpreter:
        try:
            found = _dirs_inside(files.elf(interpreter))
        except LatebindError:
            found = ()  # no such linker here: the ABI's usual folders stand in for it
    if found:
        return found
    triple = _TRIPLES.get(key)
    if triple and files.has_folder(f"/usr/lib/{triple}"):
        return (f"/lib/{triple}", f"/usr/lib/{triple}", "/lib", "/usr/lib")
    return ("/lib64", "/usr/lib64", "/lib", "/usr/lib") if key[1] == 64 else ("/lib", "/usr/lib")


# By which file it is, not by the `Elf`: that would keep its file mapped, and be another one for each `Files`.
_found_inside: Final[dict[FileIdentity | None, tuple[str, ...]]] = {}


def _dirs_inside(linker: Elf) -> tuple[str, ...]:
    known = _found_inside.get(linker.identity)
    if known is not None:
        return known
    section = linker.section(".rodata")
    data = bytes(linker.data) if section is None else linker.source.take(section.offset, section.size, ".rodata")
    match = max(_SYSTEM_DIRS.finditer(data), key=lambda m: len(m.group()), default=None)
    found = tuple(d.decode().rstrip("/") for d in match.group().split(b"\0") if d) if match else ()
    if linker.identity is not None:
        _found_inside[linker.identity] = found
    return found


@lru_cache(maxsize=1)
def _cpu_level() -> tuple[tuple[str, ...], bool]:
    """The usable glibc-hwcaps subdirectories, best first, and whether glibc calls this CPU a Haswell."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            flags = next((set(line.split(":", 1)[1].split()) for line in f if line.startswith("flags")), set())
    except OSError:
        return (), False
    levels: list[str] = []
    for name, needed in _LEVELS:
        if not flags.issuperset(needed.split()):
            break
        levels.insert(0, name)
    return tuple(levels), flags >= _HASWELL
