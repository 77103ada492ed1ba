"""What the search depends on besides the files: the environment's variables, the CPU's level, the linker's folders.

`Environment` is a value, so that a search can be repeated, tested without touching the process's environment, and
done for another machine.
"""

from __future__ import annotations

import os
import struct

from latebind._core import cpu_features, folder_row
from latebind.elf.summary import Summary, summary_of
from latebind.errors import LatebindError
from latebind.search.cache import CACHE_FLAGS, LoaderCache
from latebind.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from latebind.elf import Elf
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
    (8, 64): "/lib64/ld.so.1",
    (8, 32): "/lib/ld.so.1",
    (20, 32): "/lib/ld.so.1",
    (43, 64): "/lib64/ld-linux.so.2",
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
_BITS: Final = {
    # name → (leaf in the order of <sys/platform/x86.h>, register from EAX on, bit) of CPUID
    "pni": (0, 2, 0), "ssse3": (0, 2, 9), "fma": (0, 2, 12), "cx16": (0, 2, 13), "sse4_1": (0, 2, 19),
    "sse4_2": (0, 2, 20), "movbe": (0, 2, 22), "popcnt": (0, 2, 23), "avx": (0, 2, 28), "f16c": (0, 2, 29),
    "bmi1": (1, 1, 3), "avx2": (1, 1, 5), "bmi2": (1, 1, 8), "avx512f": (1, 1, 16), "avx512dq": (1, 1, 17),
    "avx512cd": (1, 1, 28), "avx512bw": (1, 1, 30), "avx512vl": (1, 1, 31),
    "lahf_lm": (2, 2, 0), "abm": (2, 2, 5),
}  # fmt: skip
_HASWELL: Final = frozenset("avx2 bmi1 bmi2 abm movbe popcnt fma".split())  # glibc 2.36's AT_PLATFORM override

_NO_CACHE: Final = LoaderCache(None)


class Environment(Value):
    """The search's parameters for one kind of object (machine and class).

    `library_path` is LD_LIBRARY_PATH split; `hwcaps` the glibc-hwcaps subdirectories that the CPU can use, best
    first; `system_dirs` the linker's own folders; `lib` and `platform` what ``$LIB`` and ``$PLATFORM`` mean. `secure`
    is ld.so's secure-execution mode (set-user-ID programs), `is_musl` says whose rules apply. `invoked` means that the
    dynamic linker is itself the program, with the file as its argument (``ld.so FILE``, as ldd runs it): the kernel
    then does not tell where the file is.
    """

    __slots__ = (
        "library_path", "preload", "hwcaps", "system_dirs", "lib", "platform", "cache", "cache_flags", "interpreter",
        "secure", "is_musl", "invoked",
    )  # fmt: skip
    library_path: tuple[str, ...]
    preload: tuple[str, ...]
    hwcaps: tuple[str, ...]
    system_dirs: tuple[str, ...]
    lib: str
    platform: str
    cache: LoaderCache
    cache_flags: int
    interpreter: str | None
    secure: bool
    is_musl: bool
    invoked: bool

    def __init__(
        self,
        library_path: tuple[str, ...] = (),
        preload: tuple[str, ...] = (),
        hwcaps: tuple[str, ...] = (),
        system_dirs: tuple[str, ...] = ("/lib", "/usr/lib"),
        lib: str = "lib",
        platform: str = "",
        cache: LoaderCache = _NO_CACHE,
        cache_flags: int = 0,
        interpreter: str | None = None,
        *,
        secure: bool = False,
        is_musl: bool = False,
        invoked: bool = False,
    ) -> None:
        self._set(
            library_path, preload, hwcaps, system_dirs, lib, platform, cache, cache_flags, interpreter, secure, is_musl,
            invoked,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.library_path, self.preload, self.interpreter))  # what differs between those of one run

    def with_library_path(self, folders: tuple[str, ...]) -> Environment:
        """The same, with `folders` searched before LD_LIBRARY_PATH's."""
        return self.replaced(library_path=folders + self.library_path) if folders else self


def split_path_list(text: str) -> tuple[str, ...]:
    """LD_LIBRARY_PATH's folders: separated by colons or semicolons, an empty one is the current folder (ld.so(8))."""
    return tuple([part or "." for part in text.replace(";", ":").split(":")]) if text else ()


def environment_for(
    elf: Elf | Summary,
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
    file = summary_of(elf)
    abi = (file.machine, file.bits)
    interpreter = interpreter or file.interpreter or usual_interpreter(file)
    library_path, preload = variables.get("LD_LIBRARY_PATH", ""), variables.get("LD_PRELOAD", "")
    key = ("environment", abi, interpreter, library_path, preload, secure)
    return files.kept(key, lambda: _environment(files, abi, interpreter, library_path, preload, secure=secure))


def _environment(
    files: Files, abi: tuple[int, int], interpreter: str | None, library_path: str, preload: str, *, secure: bool
) -> Environment:
    is_musl = interpreter is not None and os.path.basename(interpreter).startswith("ld-musl-")
    dirs = _musl_dirs(files, interpreter or "") if is_musl else _system_dirs(files, interpreter, abi)
    hwcaps, haswell = _cpu_level() if abi == (62, 64) and not is_musl else ((), False)
    return Environment(
        library_path=() if secure else split_path_list(library_path),
        preload=_preload_list(files, preload, is_musl=is_musl),
        hwcaps=hwcaps,
        system_dirs=dirs,
        lib=dirs[0].strip("/"),
        platform="haswell" if haswell else _PLATFORMS.get(abi[0], ""),
        cache=_NO_CACHE if is_musl else _cache(files),
        cache_flags=CACHE_FLAGS.get(abi, 0x0003),
        interpreter=interpreter,
        secure=secure,
        is_musl=is_musl,
    )


def usual_interpreter(file: Summary) -> str | None:
    """The dynamic linker of a file that names none (a library): musl's where the file asks for musl's C library."""
    for name in file.needed:
        if name == "libc.so" or name.startswith("libc.musl-"):
            return f"/lib/ld-musl-{_MUSL_NAMES.get(file.machine, 'x86_64')}.so.1"
    return INTERPRETERS.get((file.machine, file.bits))


def _preload_list(files: Files, preload: str, *, is_musl: bool) -> tuple[str, ...]:
    """LD_PRELOAD's names, separated by spaces or colons, and behind them those of /etc/ld.so.preload (glibc only)."""
    system = b"" if is_musl else files.setting("/etc/ld.so.preload") or b""
    lines = [line.partition("#")[0] for line in system.decode("utf-8", "surrogateescape").split("\n")]
    return tuple("\n".join([preload, *lines]).replace(":", " ").split())


def _musl_dirs(files: Files, interpreter: str) -> tuple[str, ...]:
    """Musl's folders: from /etc/ld-musl-ARCH.path beside its linker, else the ones compiled in (ldso/dynlink.c)."""
    arch = os.path.basename(interpreter).removeprefix("ld-musl-").partition(".so")[0]
    listed = files.setting(f"/etc/ld-musl-{arch}.path")
    if listed is None:
        return ("/lib", "/usr/local/lib", "/usr/lib")
    text = listed.decode("utf-8", "surrogateescape").replace("\n", ":")
    return tuple([folder for folder in text.split(":") if folder]) or ("/lib",)


def _cache(files: Files) -> LoaderCache:
    """The cache of this file system, read once for each `Files`."""
    return files.kept("ld.so.cache", lambda: LoaderCache(files.setting("/etc/ld.so.cache")))


def _system_dirs(files: Files, interpreter: str | None, abi: tuple[int, int]) -> tuple[str, ...]:
    """The trusted folders that were compiled into this dynamic linker: read from its file, not guessed.

    glibc keeps them as consecutive strings, each with a slash at its end (elf/dl-load.c, `system_dirs`).
    """
    if interpreter and (found := files.kept(("folders", interpreter), lambda: _folders_inside(files, interpreter))):
        return found
    triple = _TRIPLES.get(abi)
    if triple and files.has_folder(f"/usr/lib/{triple}"):
        return (f"/lib/{triple}", f"/usr/lib/{triple}", "/lib", "/usr/lib")
    return ("/lib64", "/usr/lib64", "/lib", "/usr/lib") if abi[1] == 64 else ("/lib", "/usr/lib")


def _folders_inside(files: Files, linker: str) -> tuple[str, ...]:
    """The longest row of folders in the bytes of `linker`; none where there is no such linker."""
    try:
        files.summary(linker)
        data = files.content(linker)
    except (LatebindError, OSError):
        return ()  # then the ABI's usual folders stand in for it
    row = folder_row(data) if data is not None else b""
    return tuple([folder.decode().rstrip("/") for folder in row.split(b"\0")]) if row else ()


def _flags_of_the_c_library() -> set[str]:
    """Those of the features in `_BITS` that are usable, as the C library says, whose linker goes by it; else empty."""
    features = cpu_features()
    words = struct.unpack(f"{len(features) // struct.calcsize('L')}L", features)
    return {name for name, (leaf, register, bit) in _BITS.items() if words[2 + 4 * leaf + register] >> bit & 1}


def _flags_of_the_kernel() -> set[str]:
    try:
        with open("/proc/cpuinfo", "rb") as f:
            line = next((line for line in f if line.startswith(b"flags")), b"")
    except OSError:
        return set()
    return set(line.decode("latin-1").partition(":")[2].split())


_cpu_levels: list[tuple[tuple[str, ...], bool]] = []  # of this CPU, asked once


def _cpu_level() -> tuple[tuple[str, ...], bool]:
    """The usable glibc-hwcaps subdirectories, best first, and whether glibc calls this CPU a Haswell."""
    if not _cpu_levels:
        _cpu_levels.append(_read_cpu_level())
    return _cpu_levels[0]


def _read_cpu_level() -> tuple[tuple[str, ...], bool]:
    flags = _flags_of_the_c_library() or _flags_of_the_kernel()
    levels: list[str] = []
    for name, needed in _LEVELS:
        if not flags.issuperset(needed.split()):
            break
        levels.insert(0, name)
    return tuple(levels), flags >= _HASWELL
