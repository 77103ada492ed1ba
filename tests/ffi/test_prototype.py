"""C text to prototypes: what is understood, how it prints, what is refused and in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import Unsupported
from latebind.ffi import Kind, Parameter, Prototype, parse_prototype, parse_type
from latebind.ffi.ctype import ARITHMETIC, TYPEDEFS

SIMPLE = sorted({t.spelling for t in [*ARITHMETIC.values(), *TYPEDEFS.values()]} - {"void"})


def kinds(text: str) -> list[Kind]:
    return [parameter.type.kind for parameter in parse_prototype(text).parameters]


def test_a_prototype_has_name_result_and_parameters() -> None:
    prototype = parse_prototype("unsigned long crc32(unsigned long crc, const char *, unsigned int)")
    assert prototype.name == "crc32"
    assert (prototype.result.spelling, prototype.result.size, prototype.result.signed) == ("unsigned long", 8, False)
    assert [p.name for p in prototype.parameters] == ["crc", None, None]
    assert [p.type.kind for p in prototype.parameters] == [Kind.INTEGER, Kind.TEXT, Kind.INTEGER]


@pytest.mark.parametrize("text", ["int f()", "int f(void)", "int f(void);", "  extern int f ( void ) ; "])
def test_no_parameters_can_be_written_in_every_way_of_c(text: str) -> None:
    assert str(parse_prototype(text)) == "int f(void)"


@pytest.mark.parametrize("text", ["long unsigned f(void)", "unsigned long int f(void)", "int unsigned long f(void)"])
def test_specifiers_come_in_any_order(text: str) -> None:
    assert parse_prototype(text).result == ARITHMETIC["long", "unsigned"]


def test_only_a_pointer_to_char_is_text() -> None:
    assert kinds("void f(char *, const char *, char s[], unsigned char *, char **, void *)") == [
        *[Kind.TEXT] * 3,
        *[Kind.POINTER] * 3,
    ]


def test_const_is_about_what_is_pointed_to() -> None:
    parameters = parse_prototype("void f(const void *, void *const, const char *const *, char *const *)").parameters
    assert [p.type.const for p in parameters] == [True, False, True, True]


def test_arrays_and_functions_as_parameters_are_pointers() -> None:
    assert str(parse_prototype("int f(int a[3][4], int compare(const void *))")) == (
        "int f(int (*a)[4], int (*compare)(const void *))"
    )


def test_a_type_that_nobody_described_is_fine_behind_a_pointer() -> None:
    text = "sqlite3 *f(foo_t *x, const struct bar *, union u **, enum e *, gboolean (*done)(void))"
    assert str(parse_prototype(text)) == text


@pytest.mark.parametrize("text", [
    "void (*signal(int sig, void (*func)(int)))(int)",
    "int (*(*f(int a))(int))(long)",
    "char (*f(void))[3]",
    "char *f(char *const *argv)",
])  # fmt: skip
def test_declarators_of_any_shape_print_as_c_again(text: str) -> None:
    prototype = parse_prototype(text)
    assert parse_prototype(str(prototype)) == prototype


@given(
    result=st.sampled_from([*SIMPLE, "void", "char *", "const void *", "foo_t *"]),
    parameters=st.lists(
        st.tuples(st.sampled_from([*SIMPLE, "const char *", "struct s *", "int (*)(int)"]), st.booleans()), max_size=8
    ),
)
def test_what_prints_parses_to_the_same(result: str, parameters: list[tuple[str, bool]]) -> None:
    inside = ", ".join(
        str(Parameter(parse_prototype(f"void f({spelling})").parameters[0].type, f"p{n}" if named else None))
        for n, (spelling, named) in enumerate(parameters)
    )
    prototype = parse_prototype(f"{result} f({inside})")
    assert len(prototype.parameters) == len(parameters)
    assert parse_prototype(str(prototype)) == prototype


@given(st.text(alphabet="intcharvoid ()*,;[]{}.=\"'0\n\t\\é_", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        prototype = parse_prototype(text)
    except (ValueError, Unsupported) as error:
        assert str(error)
    else:
        assert isinstance(prototype, Prototype)


@pytest.mark.parametrize(("text", "message"), [
    ("cosf(float)", "not a C prototype: 'cosf.float.' .column 1: "),
    ("int f(int", "not a C prototype"),
    ("int x", "not the prototype of a function"),
    ("typedef int f(int)", "not the prototype of a function"),
    ("int f(int x) { return x; }", "not the prototype of a function"),
    ("", "not one C prototype but 0"),
    ("int f(int); int g(int)", "not one C prototype but 2"),
    ("void f(void x)", "parameter 1 is void"),
    ("foo_t f(int)", "unknown type 'foo_t'"),
    ("int f(int, foo_t)", "unknown type 'foo_t'"),
])  # fmt: skip
def test_what_is_no_prototype_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_prototype(text)


@pytest.mark.parametrize(("text", "message"), [
    ("int f(struct point p)", "struct point: is not described here"),
    ("union u f(void)", "union u: is not described here"),
    ("int f(int, ...)", None),
])  # fmt: skip
def test_a_record_that_nobody_described_is_refused_when_it_is_bound(text: str, message: str | None) -> None:
    prototype = parse_prototype(text)
    if message is None:
        assert prototype.bind(1, "lib").prototype == prototype
    else:
        with pytest.raises(Unsupported, match=message):
            prototype.bind(1, "lib")


def test_an_enumeration_that_nobody_described_is_refused() -> None:
    with pytest.raises(Unsupported, match="enum color has no definition here; write int"):
        parse_prototype("int f(enum color)")


@pytest.mark.parametrize("text", [
    "long double f(void)", "void f(double _Complex, float _Complex)", "__int128 f(unsigned __int128)",
    "int printf(const char *, ...)", "void f(const char s[static 1])", "int f(struct point)", "union u f(void)",
])  # fmt: skip
def test_every_type_of_c_prints_as_c_again(text: str) -> None:
    assert str(parse_prototype(text)) == text
    assert parse_prototype(str(parse_prototype(text))) == parse_prototype(text)


def test_a_static_bound_means_that_null_is_refused() -> None:
    text, values = parse_prototype("void f(const char s[static 1], int v[static 4])").parameters
    assert (text.type.kind, text.type.const, text.type.nonnull) == (Kind.TEXT, True, True)
    assert (values.type.kind, values.type.const, values.type.nonnull) == (Kind.POINTER, False, True)


@pytest.mark.parametrize(("text", "size"), [
    ("int", 4), ("unsigned long", 8), ("char[7]", 7), ("int[2][3]", 24), ("void *", 8), ("int (*)(int)", 8),
    ("struct { char a; int b; }", 8), ("int[sizeof(long) * 2 - 1]", 60), ("long double", 16),
])  # fmt: skip
def test_a_type_has_a_size(text: str, size: int) -> None:
    assert parse_type(text).bytes == size


@pytest.mark.parametrize("text", ["", "int x", "1", "foo", "int[1 / 0]", "int[-1]", "void[2]", "int) + (1"])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=".+"):
        parse_type(text)
