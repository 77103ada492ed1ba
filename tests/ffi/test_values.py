"""Values of C in Python: fields, arrays, boxes, views, and what they refuse."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from latebind import ffi
from latebind.ffi import Header

HEADER = Header("""
struct point { double x, y; };
struct line { struct point from, to; const char *label; };
struct bits { int low : 3; unsigned high : 5; _Bool flag : 1; unsigned long wide : 50; long all : 64; };
union number { int i; float f; unsigned char bytes[4]; };
struct table {
    char name[8]; int grid[2][3]; struct point corners[2]; struct { int depth; union { int a; float b; }; };
};
struct node { int value; struct node *next; int (*act)(int); void *data; char *text; };
""")


def test_fields_are_attributes_and_zero_at_first() -> None:
    point = HEADER.point()
    assert (point.x, point.y) == (0, 0)
    point.x = 3
    assert repr(point) == "point(x=3.0, y=0.0)"
    assert point == HEADER.point(3)
    assert point != HEADER.point(3, 1)
    assert bytes(memoryview(HEADER.point(1, y=2)))[:8] == b"\0\0\0\0\0\0\xf0\x3f"


def test_a_record_within_a_record_is_a_view_of_it() -> None:
    line = HEADER.line(to=(1, 2), label="edge")
    inner = line.to
    inner.x = 9
    assert line.to.x == 9
    line.to = {"x": 5}
    assert (inner.x, inner.y) == (5, 0)
    del line
    gc.collect()
    assert inner.x == 5  # the memory stays


def test_text_that_was_assigned_is_kept() -> None:
    line = HEADER.line(label=f"a{len([1])}")
    gc.collect()
    assert line.label == b"a1"
    line.label = None
    assert line.label is None


@pytest.mark.parametrize(("field", "good", "bad"), [
    ("low", (-4, 3), (-5, 4)), ("high", (0, 31), (-1, 32)), ("wide", (0, 2**50 - 1), (-1, 2**50)),
    ("all", (-(2**63), 2**63 - 1), (-(2**63) - 1, 2**63)),
])  # fmt: skip
def test_a_bit_field_holds_its_bits(field: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    bits = HEADER.bits(low=-1, high=31, flag=True, wide=2**50 - 1, all=-1)
    for value in good:
        setattr(bits, field, value)
        assert getattr(bits, field) == value
    others = {"low": -1, "high": 31, "flag": True, "wide": 2**50 - 1, "all": -1}
    del others[field]
    assert {name: getattr(bits, name) for name in others} == others
    for value in bad:
        with pytest.raises(OverflowError, match="does not fit"):
            setattr(bits, field, value)


def test_members_of_a_union_share_memory() -> None:
    number = HEADER.number(f=1.0)
    assert number.i == 0x3F800000
    assert list(number.bytes) == [0, 0, 0x80, 0x3F]
    assert number == HEADER.number(i=0x3F800000)


def test_arrays_and_anonymous_members() -> None:
    table = HEADER.table(name="table", grid=[[1, 2, 3], [4, 5, 6]], corners=[(1, 2), {"y": 3}], depth=7, b=1.0)
    assert table.name.text == b"table"
    assert [list(row) for row in table.grid] == [[1, 2, 3], [4, 5, 6]]
    assert table.grid[-1][0:2] == [4, 5]
    assert table.corners[1] == HEADER.point(0, 3)
    assert (table.depth, table.a) == (7, 0x3F800000)
    table.grid[1][2] = 60
    assert table.grid == [[1, 2, 3], [4, 5, 60]]
    assert repr(table.grid) == "<int [2][3]: <int [3]: 1, 2, 3>, <int [3]: 4, 5, 60>>"


def test_a_copy_keeps_what_the_original_kept() -> None:
    line = HEADER.line(label=f"kept {len([1])}")
    pair = ffi.new("struct line[2]", [line, {"label": f"other {len([1])}"}], types=HEADER)
    copy = ffi.new("struct line", pair[1], types=HEADER)
    del line, pair
    gc.collect()
    filler = [ffi.new("char[]", "x" * n) for n in range(100)]
    assert (copy.label, len(filler)) == (b"other 1", 100)


def test_pointers_to_values_and_functions() -> None:
    last = HEADER.node(2)
    first = HEADER.node(1, last, lambda x: x + 1, bytearray(4), "text")
    assert first.next == ffi.address_of(last)
    del last
    gc.collect()
    assert ffi.at(HEADER.node, first.next).value == 2
    assert first.text == b"text"
    assert isinstance(first.act, int)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: HEADER.point(1, 2, 3), TypeError, "struct point has 2 fields, not 3"),
    (lambda: HEADER.point(z=1), TypeError, "z is no field"),
    (lambda: HEADER.point(1, x=1), TypeError, "x was given twice"),
    (lambda: HEADER.point("1"), TypeError, "expected a number, not str '1'"),
    (lambda: HEADER.line(to=HEADER.bits()), TypeError, "expected a struct point, not bits"),
    (lambda: HEADER.table(name="too long for it"), ValueError, "15 bytes do not fit into 8"),
    (lambda: HEADER.table(grid=[1]), TypeError, "expected a sequence"),
    (lambda: HEADER.table(corners=[(1, 2)] * 3), ValueError, "3 elements do not fit into 2"),
    (lambda: HEADER.node(next=HEADER.point()), TypeError, "expected a struct node, not a struct point"),
    (lambda: HEADER.node(data=b"constant"), TypeError, "may be written through"),
    (lambda: HEADER.node(data=1.5), TypeError, "expected an address, None or a buffer, not float"),
    (lambda: HEADER.table().grid[2], IndexError, "element 2 of 2"),
    (lambda: ffi.at(HEADER.point, 0), ValueError, "nothing at NULL"),
    (lambda: ffi.view(HEADER.point, bytes(8)), ValueError, "16 bytes at 0 are not within a buffer of 8"),
    (lambda: ffi.new("int[]"), ValueError, "how long"),
    (lambda: ffi.new("struct nothing"), ValueError, "not described"),
    (lambda: ffi.new("void"), ValueError, "no value of void"),
    (lambda: ffi.new("int", 2**40), OverflowError, "does not fit"),
    (lambda: ffi.reader("int")(0), ValueError, "nothing at NULL"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_new_makes_numbers_arrays_and_records() -> None:
    box = ffi.new("int", 5)
    box.value += 1
    assert (box.value, repr(box)) == (6, "<int: 6>")
    assert list(ffi.new("double[3]", [1, 2])) == [1, 2, 0]
    assert bytes(memoryview(ffi.new("char[]", "text"))) == b"text\0"
    assert len(ffi.new("int[]", [1, 2])) == 2
    assert ffi.new("struct point", (1, 2), types=HEADER) == HEADER.point(1, 2)
    assert ffi.new("char *", "kept").value == b"kept"


def test_a_view_is_the_buffers_own_memory_and_read_only_where_it_is() -> None:
    data = bytearray(32)
    ffi.view(HEADER.point, data, 16).y = 1.0
    assert data[24:] == b"\0\0\0\0\0\0\xf0\x3f"
    with pytest.raises(TypeError, match="read-only"):
        ffi.view(HEADER.point, bytes(16)).x = 1
    held = ffi.view(HEADER.point, data)
    with pytest.raises(BufferError):
        data.extend(b"more")
    assert held.y == 0


def test_sizes_and_addresses() -> None:
    point = HEADER.point()
    assert (ffi.size_of(point), ffi.size_of(HEADER.point), ffi.size_of("int[3]")) == (16, 16, 12)
    assert ffi.at(HEADER.point, ffi.address_of(point), keep=point).x == 0
    assert ffi.reader("double")(ffi.address_of(HEADER.point(2.5))) == 2.5
    with pytest.raises(TypeError, match="int has no address"):
        ffi.address_of(1)


def test_a_field_cannot_be_deleted_and_another_not_added() -> None:
    with pytest.raises(TypeError, match="cannot be deleted"):
        del HEADER.point().x
    with pytest.raises(AttributeError):
        HEADER.point().z = 1
