"""Two builds compared: what breaks those who were linked with the old one, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import latebind
from latebind.errors import MalformedElf
from latebind.linkplan.abi import AbiDiff, AbiKind, Bump, compare_abi, exports
from latebind.linkplan.declarations import debug_file, read_declarations

if TYPE_CHECKING:
    from support.compiler import Compiler


def compared(cc: Compiler, old: str, new: str, *, debug: bool = False) -> AbiDiff:
    flags = ["-Wl,-soname,libx.so.1", "-nostdlib", *(["-g"] if debug else [])]
    before, after = (
        latebind.read(cc.shared(text, name=f"lib{i}.so", flags=flags)) for i, text in enumerate((old, new))
    )
    if not debug:
        return compare_abi(before, after)
    first, second = (read_declarations(str(debug_file(e)), {n for n, _ in exports(e)}) for e in (before, after))
    return compare_abi(before, after, (first, second))


def summary(diff: AbiDiff) -> list[tuple[str, str, bool]]:
    return [(str(c.kind), c.what, c.breaks) for c in diff.changes]


def test_the_same_interface_is_a_patch(cc: Compiler) -> None:
    diff = compared(cc, "int f(void) { return 1; }", "int f(void) { return 2 + f(); }")
    assert (diff.changes, diff.bump, diff.breaks) == ((), Bump.PATCH, False)


def test_more_is_a_minor_version(cc: Compiler) -> None:
    diff = compared(cc, "int f(void) { return 1; }", "int f(void) { return 1; } int g(void) { return 2; }")
    assert summary(diff) == [("added", "g", False)]
    assert diff.bump is Bump.MINOR


def test_less_is_a_major_version(cc: Compiler) -> None:
    diff = compared(cc, "int f(void) { return 1; } int g(void) { return 2; }", "int f(void) { return 1; }")
    assert summary(diff) == [("removed", "g", True)]
    assert diff.bump is Bump.MAJOR


def test_a_function_that_becomes_data_breaks_and_one_that_becomes_an_ifunc_does_not(cc: Compiler) -> None:
    old = "int f(void) { return 1; } int g(void) { return 1; }"
    new = "int f; static int one(void) { return 1; } static void *pick(void) { return one; }"
    new += ' int g(void) __attribute__((ifunc("pick")));'
    assert summary(compared(cc, old, new)) == [("type", "f", True)]


def test_the_size_of_data_breaks_and_that_of_a_function_does_not(cc: Compiler) -> None:
    diff = compared(cc, "int t[2]; int f(int a) { return a; }", "int t[3]; int f(int a) { return a * a + 7; }")
    assert summary(diff) == [("size", "t", True)]
    assert (diff.changes[0].before, diff.changes[0].after) == ("8 bytes", "12 bytes")


def test_another_soname_breaks(cc: Compiler) -> None:
    text = "int f(void) { return 1; }"
    old = latebind.read(cc.shared(text, name="a.so", flags=["-Wl,-soname,libx.so.1"]))
    new = latebind.read(cc.shared(text, name="b.so", flags=["-Wl,-soname,libx.so.2"]))
    assert summary(compare_abi(old, new)) == [("soname", "soname", True)]


def versioned(cc: Compiler, name: str, text: str, script: str) -> latebind.Elf:
    (cc.folder / f"{name}.map").write_text(script)
    return latebind.read(
        cc.shared(text, name=name, flags=[f"-Wl,--version-script={cc.folder}/{name}.map", "-nostdlib"])
    )


def test_a_version_that_is_replaced_breaks_and_one_that_is_added_beside_does_not(cc: Compiler) -> None:
    one = "int f(void) { return 1; }"
    old = versioned(cc, "old.so", one, "V1 { global: f; local: *; };")
    moved = versioned(cc, "moved.so", one, "V2 { global: f; local: *; };")
    both_text = 'int f1(void) { return 1; } int f2(void) { return 2; } __asm__(".symver f1,f@V1"); '
    both_text += '__asm__(".symver f2,f@@V2");'
    both = versioned(cc, "both.so", both_text, "V1 { global: f; local: *; }; V2 { } V1;")
    assert summary(compare_abi(old, moved)) == [
        ("version", "version V1", True),
        ("version", "f", True),
    ]
    diff = compare_abi(old, both)
    assert not diff.breaks
    assert ("added", "f@@V2", False) in summary(diff)
    assert diff.bump is Bump.MINOR


def test_versions_where_there_were_none_break_nobody(cc: Compiler) -> None:
    one = "int f(void) { return 1; }"
    old = latebind.read(cc.shared(one, name="old.so", flags=["-nostdlib"]))
    new = versioned(cc, "new.so", one, "V1 { global: f; local: *; };")
    assert summary(compare_abi(old, new)) == [("version", "f", False)]


def test_changed_signatures_break_and_qualifiers_and_typedefs_do_not(cc: Compiler) -> None:
    old = "typedef int number; int f(number a, char *b) { return a; } int g(int a) { return a; } void h(void) {}"
    new = "typedef int num; int f(num a, const char *b) { return a; } int g(long a) { return a; }"
    new += " int h(void) { return 1; }"
    diff = compared(cc, old, new, debug=True)
    assert sorted(summary(diff)) == [("signature", "f", False), ("signature", "g", True), ("signature", "h", True)]
    changed = {c.what: (c.before, c.after) for c in diff.changes}
    assert changed["g"] == ("int (int)", "int (long)")
    assert changed["f"] == ("int (int, char *)", "int (int, char const *)")


STRUCTS = """
    struct s {{ int a; {member}; struct s *next; unsigned bits : {bits}; }};
    enum e {{ RED, GREEN{more} }};
    struct s f(enum e e) {{ struct s s = {{0}}; return s; }}
"""


@pytest.mark.parametrize(
    ("member", "bits", "more", "expected"),
    [
        ("int b", 3, "", []),
        ("int renamed", 3, "", [("layout", "struct s", False)]),
        ("double b", 3, "", [("layout", "struct s", True)]),
        ("short b, c", 3, "", [("layout", "struct s", True)]),
        ("int b", 4, "", [("layout", "struct s", True)]),
        ("int b", 3, ", BLUE", [("layout", "enum e", False)]),
        ("int b", 3, " = 7", [("layout", "enum e", True)]),
    ],
)
def test_layouts(cc: Compiler, member: str, bits: int, more: str, expected: list[tuple[str, str, bool]]) -> None:
    old = STRUCTS.format(member="int b", bits=3, more="")
    diff = compared(cc, old, STRUCTS.format(member=member, bits=bits, more=more), debug=True)
    assert summary(diff) == expected


def test_what_callers_only_point_to_is_private_unless_a_header_defines_it(cc: Compiler) -> None:
    text = (
        '#include "{header}"\nstruct hidden {{ {member}; }}; int f(struct hidden *h, struct shown *s) {{ return 1; }}'
    )
    for name, member in (("old.h", "int a"), ("new.h", "long a")):
        (cc.folder / name).write_text(f"struct shown {{ {member}; }};")
    old, new = (text.format(header=f"{n}.h", member=m) for n, m in (("old", "int a"), ("new", "long a")))
    assert summary(compared(cc, old, new, debug=True)) == [("layout", "struct shown", True)]
    elf = latebind.read(cc.folder / "lib0.so")
    assert set(read_declarations(elf.path, {"f"}, {"other.h"}).layouts) == set()
    assert set(read_declarations(elf.path, {"f"}, {"old.h"}).layouts) == {"struct shown"}


def test_debug_information_in_a_file_of_its_own(cc: Compiler) -> None:
    cc.shared("int f(int a) { return a; }", name="lib.so", flags=["-g"])
    found = read_declarations(str(cc.folder / "lib.so"), {"f"})
    assert found.signatures == {"f": "int (int)"}
    assert debug_file(latebind.read(cc.shared("int f(int a) { return a; }", name="bare.so"))) is None


def test_methods_and_types_of_cxx(cc: Compiler) -> None:
    text = "namespace n { struct A { long x; int m(const long &y, A &&z) const; };"
    text += " int A::m(const long &y, A &&) const { return y; } }"
    source = cc.folder / "a.cc"
    source.write_text(text)
    path = cc.shared("", flags=["-g", "-nostdlib", "-x", "c++", str(source)])
    found = read_declarations(str(path), {"_ZNK1n1A1mERKlOS0_"})
    assert found.signatures == {"_ZNK1n1A1mERKlOS0_": "int (struct n::A const *, long const &, struct n::A &&)"}


def test_damaged_debug_information_is_an_error_that_names_the_file(cc: Compiler) -> None:
    path = cc.shared("struct s { int a; }; int f(struct s a) { return 1; }", flags=["-g", "-gdwarf-4"])
    section = latebind.read(path).section(".debug_abbrev")
    assert section
    data = bytearray(path.read_bytes())
    data[section.offset : section.offset + section.size] = b"\xff" * section.size
    path.write_bytes(data)
    with pytest.raises(MalformedElf, match=r"libtest\.so: its debug information cannot be read"):
        read_declarations(str(path), {"f"})


def test_kinds_are_what_the_documents_say() -> None:
    assert [str(k) for k in AbiKind] == [
        "removed", "added", "version", "type", "size", "soname", "machine", "signature", "layout",
    ]  # fmt: skip
