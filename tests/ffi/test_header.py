"""Headers: what their text declares, what is refused, and functions bound by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latebind as lb
from latebind import ffi
from latebind.ffi import Header, Kind

if TYPE_CHECKING:
    from support.compiler import Compiler

TEXT = r"""
#ifndef SHAPE_H  /* an include guard */
#define SHAPE_H
#include <stddef.h>
#define SHAPE_LIMIT 0x10
#define SHAPE_TEXT "not a number // nor a comment"
#define SHAPE_NEGATIVE (-3)
#ifdef __cplusplus
extern "C" {
#endif
typedef struct shape shape; // opaque until it is described
typedef enum { SHAPE_NONE, SHAPE_ROUND = 1 << 4, SHAPE_FLAT } shape_kind;
typedef double (*measure)(const shape *, void *);
struct shape {
    shape_kind kind : 8; unsigned flags : 3; double size[2]; measure area; shape *next; char name[SHAPE_LENGTH];
};
enum { SHAPE_OTHER = sizeof(struct shape) };
__attribute__((nonnull)) double shape_area(const shape *self) __attribute__((pure));
extern int shape_count;
static inline int shape_twice(int n) { return 2 * n; }
#ifdef __cplusplus
}
#endif
#endif
""".replace("SHAPE_LENGTH", "16 - 2 * 3")
SOURCE = (
    TEXT
    + """
double shape_area(const shape *self) { return self->size[0] * self->size[1] + (self->area ? self->area(self, 0) : 0); }
int shape_count = 3;
"""
)


@pytest.fixture(scope="module")
def header() -> Header:
    return Header(TEXT)


def test_constants_are_those_of_macros_and_enumerations(header: Header) -> None:
    assert (header.SHAPE_LIMIT, header.SHAPE_NEGATIVE) == (16, -3)
    assert (header.SHAPE_NONE, header.SHAPE_ROUND, header.SHAPE_FLAT) == (0, 16, 17)
    assert ffi.size_of(header.shape) == header.SHAPE_OTHER
    assert "SHAPE_TEXT" not in header.constants


def test_a_typedef_a_tag_and_the_class_are_one(header: Header) -> None:
    assert header.shape is header["struct shape"]
    assert header["shape"] is header.shape
    assert header.shape_kind.kind is Kind.INTEGER
    assert "shape" in dir(header)


def test_functions_are_prototypes(header: Header) -> None:
    assert str(header.shape_area) == "double shape_area(const shape *self)"
    assert str(header.shape_twice) == "int shape_twice(int n)"


def test_bound_functions_take_the_headers_values(header: Header, cc: Compiler) -> None:
    with lb.load(cc.shared(SOURCE), namespace=lb.Namespace()) as library:
        api = header.bind(library)
        shape = header.shape(kind=header.SHAPE_FLAT, size=(3, 4), name="box")
        assert api.shape_area(shape) == 12
        shape.area = lambda self, _nothing: ffi.at(header.shape, self).size[1]
        assert api.shape_area(shape) == 16
        assert api.shape_area is api.shape_area
        with pytest.raises(AttributeError, match="declares no function shape_volume"):
            _ = api.shape_volume
        with pytest.raises(lb.UnresolvedSymbol):
            _ = api.shape_twice  # inline: nothing is exported


def test_another_name_is_an_attribute_error(header: Header) -> None:
    with pytest.raises(AttributeError, match="declares no nonsense"):
        _ = header.nonsense
    with pytest.raises(KeyError):
        header["struct nonsense"]


def test_records_may_refer_to_each_other() -> None:
    header = Header("struct b; struct a { struct b *b; }; struct b { struct a a, *other; };")
    assert header.b(a=header.a()).a.b is None


def test_what_declares_nothing_is_passed_over() -> None:
    header = Header("struct s { int; ; long x; }; ; enum e { A,\n#pragma x\nB };")
    assert (ffi.size_of(header.s), header.B) == (8, 1)


def test_pack_is_followed() -> None:
    header = Header(
        "#pragma pack(push, 1)\nstruct tight { char c; long l; };\n#pragma pack(pop)\nstruct wide { char c; long l; };"
    )
    assert (ffi.size_of(header.tight), ffi.size_of(header.wide)) == (9, 16)


def test_what_the_preprocessor_wrote_is_read() -> None:
    assert (
        Header('# 1 "x.h" 1 3 4\ntypedef unsigned int u;\n# 5 "x.h"\nextern u f (u __a) __asm__ ("" "g");').f.name
        == "f"
    )


def test_a_macro_that_is_an_expression_is_a_constant_when_it_is_asked_for() -> None:
    header = Header(
        "#define BASE 10\n#define ERROR (BASE | (1<<8))\n#define MORE (ERROR + sizeof(struct s))\n#define ALL ~0u\n"
        '#define TEXT "no"\n#define SELF SELF\n#define CALL f(1)\nstruct s { long a[2]; }; enum { MINE = MORE };'
    )
    assert (header.ERROR, header.MORE, header.MINE, header.BASE) == (266, 282, 282, 10)
    for name in ("TEXT", "SELF", "CALL"):
        with pytest.raises(AttributeError, match=f"the macro {name} is no constant|declares no {name}"):
            getattr(header, name)


@pytest.mark.parametrize(("text", "error", "message"), [
    ("int f(int", ValueError, "not C"),
    ("#if X > 2\nint f(void);\n#endif", lb.Unsupported, "cc -E"),
    ("#ifdef X\nint f(void);", ValueError, "without its #endif"),
    ("struct s { int a; }; struct s { int b; };", ValueError, "described twice"),
    ("struct s { struct s inner; };", ValueError, "size of struct s is not known"),
    ("struct s { int a : 40; };", ValueError, "bit-field of 40 bits"),
    ("int f(int) __attribute__((aligned(16)", ValueError, "not closed"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Header(text)


WORDS = (
    "struct s {", "union u {", "enum e {", "typedef", "int", "char", "long", "t", "x", "y", "f", "s", "*", "(", ")",
    "[", "]", "[[", "{", "}", ";", ",", ":", "3", "=", "...", "__attribute__", "((packed))", "((aligned(8)))",
    "((aligned(A)))", "((vector_size(16)))", "((mode(DI)))", "((nonnull(1)))", "((transparent_union))", "__asm__",
    '("x")', "_Alignas(8)", "_Complex", "_Float128", "__extension__", "sizeof(int)", "offsetof(struct s, x)", "void",
    "__builtin_va_list", "A",
    "\n#define A (B+1)\n", "\n#define B 2\n", "\n#pragma pack(1)\n", '\n# 3 "a.h"\n', "/*", "*/", '"',
)  # fmt: skip
GOOD = (
    "struct s { int x ; char y [ 3 ] ; } __attribute__ ((packed)) ;", "typedef int t __attribute__ ((aligned(8))) ;",
    "int f ( int a , char * b ) __attribute__ ((nonnull(2))) ;", "enum { P , Q = 5 } ;",
    "union u { struct s * a ; void * b ; } ;", "typedef float v __attribute__ ((vector_size(16))) ;",
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(GOOD), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(WORDS))),
)
def test_any_c_with_a_few_words_changed_is_read_or_refused(good: list[str], changes: list[tuple[int, str]]) -> None:
    words = " ".join(good).split(" ")
    for place, word in changes:
        words[place % len(words)] = word
    try:
        header = Header(" ".join(words))
        for name in (name for name in dir(header) if not name.startswith("_")):
            getattr(header, name, None)
    except (ValueError, lb.Unsupported) as error:
        assert str(error)


@given(st.text(alphabet="#ifdeintstructunion {};*,()[]:=0123/\"'\n\\_a", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Header(text)
    except (ValueError, lb.Unsupported) as error:
        assert str(error)
