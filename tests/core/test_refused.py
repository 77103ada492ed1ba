"""Plans and files that contradict themselves: an error that says what and where, and nothing left behind."""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from latebind import _core
from support.machine import ELSEWHERE, HERE
from support.plans import (
    ABSOLUTE,
    DATA,
    HOOK,
    IFUNC,
    PAGE,
    TLS,
    UNRESOLVED,
    Binding,
    File,
    PlanObject,
    bind,
    own,
    pack,
    resident,
)

if TYPE_CHECKING:
    from support.compiler import Compiler

TEXT = """
    extern int abs(int);
    static int state = 3; int *const pointer = &state; __thread int local = 5; char bss[9000];
    int f(int n) { return abs(n) + *pointer + local + bss[8999]; }
    __attribute__((constructor)) static void start(void) { state = 4; }
    __attribute__((destructor)) static void stop(void) { state = 5; }
"""
DAMAGE: dict[str, tuple[dict[str, int], str]] = {
    "role": ({"role": 9}, "unknown role 9"),
    "name": ({"soname": 4096}, "soname lies outside"),
    "segment slice": ({"first_segment": 2**32 - 1}, "segments lie outside"),
    "binding slice": ({"bindings": 1000}, "bindings lie outside"),
    "no segments": ({"segments": 0}, "nothing to load"),
    "span": ({"span": PAGE}, "beyond the object's span"),
    "odd span": ({"span": PAGE + 1}, "whole pages"),
    "wrapping span": ({"low": 2**64 - PAGE, "span": 2 * PAGE}, "wraps"),
    "huge span": ({"span": 2**62}, "reserving"),
    "low": ({"low": PAGE * 16}, "overlaps the one before it|beyond"),
    "odd alignment": ({"align": 3 * PAGE}, "power of two"),
    "small alignment": ({"align": 1}, "power of two"),
    "huge alignment": ({"align": 2**40}, "power of two"),
    "rela outside": ({"rela.address": 2**40}, "DT_RELA lies outside"),
    "rela too long": ({"rela.size": 24 * 2**30}, "DT_RELA lies outside"),
    "rela wraps": ({"rela.address": 2**64 - 24, "rela.size": 48}, "DT_RELA lies outside"),
    "rela odd": ({"rela.size": 25}, "DT_RELA has a size"),
    "relr odd": ({"relr.size": 9}, "DT_RELR has a size"),
    "init": ({"init": 0x10}, "DT_INIT lies outside the executable"),
    "fini": ({"fini": 2**63}, "DT_FINI lies outside the executable"),
    "init array": ({"init_array.address": 2**50}, "DT_INIT_ARRAY lies outside"),
    "relro": ({"relro.address": 0}, "PT_GNU_RELRO lies outside the writable"),
    "frames": ({"eh_frame_header.address": 2**33}, "PT_GNU_EH_FRAME lies outside"),
    "TLS image": ({"tls_image.address": 2**33}, "PT_TLS lies outside"),
    "TLS sizes": ({"tls_size": 1}, "PT_TLS has more bytes"),
    "TLS alignment": ({"tls_align": 24}, "no power of two"),
    "TLS huge": ({"tls_size": 2**40}, "TLS block of 1099511627776 bytes"),
}  # fmt: skip
SEGMENT_DAMAGE: dict[str, tuple[dict[str, int], str]] = {
    "wraps": ({"memory_size": 2**64 - 1}, "wraps around"),
    "file wraps": ({"file_offset": 2**63, "file_size": 2**63 + 1}, "wraps around"),
    "more in the file": ({"memory_size": 1}, "more bytes in the file than in memory"),
    "not congruent": ({"file_offset": 1}, "modulo the page size"),
    "protection": ({"protection": 8}, "unknown protection bits 0x8"),
    "overlap": ({"address": 0}, "modulo|overlaps"),
    "beyond the file": ({"file_offset": PAGE << 20}, "it is cut off"),
}  # fmt: skip


def state() -> object:
    """What a failure must not change: mappings but for Python's heap, open descriptors, and the system's link map."""
    rows = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    named = Counter(r.split(None, 5)[5] for r in rows if len(r.split(None, 5)) > 5)
    closed = [r.split()[0] for r in rows if " ---p " in r]  # what a forgotten reservation would be
    if any("/libasan.so" in name for name in named):
        closed = []  # the address sanitizer keeps such ranges of its own
    return named, closed, sorted(os.listdir("/proc/self/fd")), _core.link_map()


@pytest.fixture
def objects(cc: Compiler) -> list[PlanObject]:
    path = cc.shared(
        TEXT, flags=["-ftls-model=global-dynamic", HERE.tls_dialects[0], "-fno-builtin", "-Wl,-z,separate-code"]
    )
    return [own(path), resident("libc.so.6"), resident(HERE.linker)]


def refuse(objects: list[PlanObject], plan: bytes | None = None, match: str = "") -> _core.ExecuteError:
    """The error of executing the plan (default: of `objects`), after which the process must be as before."""
    packed, sources = pack(objects) if plan is None else plan, [o.source for o in objects]
    before = state()
    with pytest.raises(_core.ExecuteError, match=match) as caught:
        _core.execute(packed, sources, [])
    assert state() == before
    return caught.value


class TestAnObject:
    @pytest.mark.parametrize("name", DAMAGE)
    def test_a_damaged_object(self, objects: list[PlanObject], name: str) -> None:
        fields, message = DAMAGE[name]
        objects[0].fields |= fields
        error = refuse(objects, match=message)
        assert error.object == 0
        assert error.code == {"huge span": "system", "TLS huge": "unsupported"}.get(name, "malformed")
        assert (error.errno != 0) == (error.code == "system")

    @pytest.mark.parametrize("name", SEGMENT_DAMAGE)
    def test_a_damaged_segment(self, objects: list[PlanObject], name: str) -> None:
        fields, message = SEGMENT_DAMAGE[name]
        objects[0].segments[1] |= fields
        error = refuse(objects, match=message)
        assert (error.code, error.object) == ("malformed", 0)

    @pytest.mark.parametrize(
        ("binding", "message"),
        [
            (Binding(DATA, 77, 0), "bound to object 77"),
            (Binding(99, 0, 0), "unknown kind 99"),
            (Binding(DATA, 0, 2**40), "bound outside object 0"),
            (Binding(HOOK, value=0), "hook 0 of 0"),
            (Binding(TLS, 0, 4096), "outside the TLS block"),
            (Binding(TLS, 0, 0), "wants an address"),
            (Binding(IFUNC, 0, 8), "not in executable memory"),
        ],
    )
    def test_a_damaged_binding(self, objects: list[PlanObject], binding: Binding, message: str) -> None:
        index = next(i for i, s in enumerate(objects[0].symbols) if s.name == "abs")
        symbol = -1 if binding.kind == 99 or binding.object == 77 else index  # found before the symbol matters
        bound = [bind(objects, o) for o in objects]
        bound[0][index] = binding
        error = refuse(objects, pack(objects, bound), message)
        assert (error.code, error.object, error.symbol) == ("malformed", 0, symbol)

    def test_a_reference_without_definition(self, cc: Compiler) -> None:
        path = cc.shared("int elsewhere(void); int f(void) { return elsewhere(); }", flags=["-nostdlib"])
        o = own(path)
        error = refuse([o], match=f"{HERE.name('jump_slot')}.*no definition")
        (reference,) = [r for r in File(path.read_bytes()).relocations() if r[1] == HERE.type("jump_slot")]
        assert (error.code, error.object, error.symbol) == ("unresolved", 0, reference[2])
        assert error.offset == struct.unpack_from("<Q", path.read_bytes(), reference[0])[0]
        missing: dict[int, Binding] = {}
        error = refuse([o], pack([o], [missing]), "the plan does not bind")
        assert error.code == "malformed"
        assert bind([o], o)[reference[2]].kind == UNRESOLVED

    @pytest.mark.parametrize(
        ("kind", "code", "message"),
        [
            ("copy", "unsupported", "only a program"),
            ("refused", "unsupported", "is not supported"),
            (200, "unsupported", r"of unknown type \(200\) is not supported"),
            (2**32 - 1, "unsupported", "unknown type"),
            ("tls_module", "malformed", "thread-local"),
            ("tls_static", "malformed", "thread-local"),
            ("resolver", "malformed", "outside the executable"),
        ],
    )
    def test_a_relocation_type(self, cc: Compiler, kind: str | int, code: str, message: str) -> None:
        number, name = (kind, "") if isinstance(kind, int) else HERE.relocations[kind]
        message = rf"{name} \({number}\).*{message}" if name else message
        path = cc.shared("extern int target; int target; int *place = &target;", flags=["-nostdlib"])
        data = bytearray(path.read_bytes())
        at = next(at for at, found, _, _ in File(bytes(data)).relocations() if found == HERE.type("absolute"))
        data[at + 8 : at + 12] = number.to_bytes(4, "little")
        error = refuse([own(path, data=bytes(data))], match=message)
        assert (error.code, error.object) == (code, 0)
        assert error.offset == struct.unpack_from("<Q", data, at)[0]

    @pytest.mark.parametrize("target", [0, 0x10, PAGE, 2**63, 2**64 - 4])
    @pytest.mark.parametrize("kind", [HERE.type("relative"), HERE.type("absolute")])
    def test_a_relocation_target(self, cc: Compiler, target: int, kind: int) -> None:
        path = cc.shared("extern int x; int x; static int y; int *p = &x, *q = &y;", flags=["-nostdlib"])
        data = bytearray(path.read_bytes())
        at = next(at for at, found, _, _ in File(bytes(data)).relocations() if found == kind)
        data[at : at + 8] = target.to_bytes(8, "little")
        error = refuse([own(path, data=bytes(data))], match="outside the segments that may be written")
        assert (error.code, error.offset) == ("malformed", target)

    def test_a_damaged_bitmap(self, cc: Compiler) -> None:
        path = cc.shared("static int x; int *p[9] = {&x, &x};", flags=["-nostdlib", *HERE.pack])
        elf = File(path.read_bytes())
        at = elf.offset(elf.range("relr")[0])
        for entry, message in ((1, "begins with a bitmap"), (2**62, "may be written"), (0x40, "may be written")):
            data = bytearray(elf.data)
            data[at : at + 8] = entry.to_bytes(8, "little")
            assert refuse([own(path, data=bytes(data))], match=message).code == "malformed"

    def test_a_late_failure_undoes_the_earlier_objects(self, objects: list[PlanObject], cc: Compiler) -> None:
        """The second object fails in the pass after TLS: by then the first has its mapping and its carrier."""
        path = cc.shared("extern __thread int far; int *f(void) { return &far; }", name="b.so",
                         flags=["-nostdlib", "-ftls-model=initial-exec"])  # fmt: skip
        second = own(path)
        far = next(i for i, s in enumerate(second.symbols) if s.name == "far")
        everything = [objects[0], second, *objects[1:]]
        bound = [bind(everything, o) for o in everything]
        bound[1] = {far: Binding(TLS, 3, 0)}  # ld.so has no TLS block
        error = refuse(everything, pack(everything, bound), "object 3 has no TLS block")
        assert (error.code, error.object) == ("malformed", 1)

    def test_static_tls_that_does_not_fit(self, cc: Compiler) -> None:
        text = "__thread int big[5000]; int *f(void) { return big; }"
        path = cc.shared(text, flags=["-nostdlib", "-ftls-model=initial-exec"])
        error = refuse([own(path)], match="optional_static_tls.*static TLS block")
        assert (error.code, error.object) == ("system", 0)


def test_a_damaged_header(objects: list[PlanObject]) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"magic": b"LBPLAN\n\n"}, "malformed", "magic"),
        ({"version": 99}, "unsupported", "version 99"),
        ({"machine": ELSEWHERE.number}, "unsupported", f"machine {ELSEWHERE.number}"),
        ({"elf_class": 1}, "unsupported", "class 1"),
        ({"size": 10}, "malformed", "10 bytes"),
        ({"objects.offset": 4}, "malformed", "objects lies outside the plan or is misaligned"),
        ({"segments.offset": 2**32 - 8}, "malformed", "table of segments"),
        ({"bindings.count": 2**32 - 1}, "malformed", "table of bindings"),
        ({"order.offset": 2}, "malformed", "order of constructors lies outside"),
        ({"strings.count": 5}, "malformed", "do not end with a NUL"),
        ({"objects.count": 0}, "malformed", "0 objects"),
        ({"objects.count": 2**16 + 1}, "malformed", "table of objects"),
    ]
    for header, code, message in cases:
        error = refuse(objects, pack(objects, header=header), message)
        assert (error.code, error.object) == (code, -1)
    whole = pack(objects)
    for size in (0, 1, 63, len(whole) - 1):
        refuse(objects, whole[:size], "bytes")
    assert refuse(objects, pack(objects, order=[0, 3]), "names object 3").code == "malformed"


def test_bindings_out_of_order(objects: list[PlanObject]) -> None:
    bound = [bind(objects, o) for o in objects]
    bound[0] = dict(reversed(bound[0].items()))
    refuse(objects, pack(objects, bound), "ascending order")
    bound[0] = {1: Binding(ABSOLUTE), 10**6: Binding(ABSOLUTE)}
    refuse(objects, pack(objects, bound), "more than the object can have")


def test_sources_that_are_none(objects: list[PlanObject]) -> None:
    plan = pack(objects)
    rest = [o.source for o in objects[1:]]
    read_end, write_end = os.pipe()
    for source, error, message in [
        (read_end, _core.ExecuteError, "not a regular file"),
        (10**6, _core.ExecuteError, "Bad file descriptor"),
        (b"", _core.ExecuteError, "cut off"),
        (-1, ValueError, "not a file descriptor"),
        (1.5, TypeError, "bytes-like"),
        ("/a.so", _core.ExecuteError, "an object that is not for it"),
        ("a\0.so", ValueError, "null"),
        ((1, 2), TypeError, "3 arguments"),
        ((-1, 0, None), OverflowError, "negative"),
    ]:
        with pytest.raises(error, match=message):
            _core.execute(plan, [source, *rest], [])  # type: ignore[list-item]
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(_core.ExecuteError, match="3 objects, but 2 sources"):
        _core.execute(plan, [objects[0].source, rest[0]], [])
    with pytest.raises(_core.ExecuteError, match="the system's linker loads"):
        _core.execute(plan, [objects[0].source, b"", rest[1]], [])
    with pytest.raises(TypeError):
        _core.execute(plan, [o.source for o in objects], ["x"])  # type: ignore[list-item]


def test_a_truncated_file(cc: Compiler, tmp_path: Path) -> None:
    path = cc.shared("int v = 1; int f(void) { return v; }", flags=["-nostdlib"])
    o = own(path)
    short = tmp_path / "short.so"
    short.write_bytes(path.read_bytes()[: o.segments[-1]["file_offset"] + 1])
    fd = os.open(short, os.O_RDONLY)
    o.source = fd
    assert refuse([o], match="cut off").code == "malformed"
    os.close(fd)
