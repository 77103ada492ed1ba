"""The dl session line by line, with the system's linker standing in for ours: what is understood, shown and refused."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import NotFound, Tried, UnresolvedSymbol
from latebind.cli.session import LineError, Session, parse_line, read_value, show
from latebind.ffi import parse_prototype

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = "a line names a library, a function and its arguments, as in: libm.so.6 cosf 0.0"


class SystemLibrary:
    """A library that the system's linker loaded."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name = name
        self.closed = closed
        try:
            self.library = ctypes.CDLL(name)
        except OSError as error:
            raise NotFound(name, None, (Tried(f"/lib/{name}", "no such file"),)) from error

    def symbol(self, name: str, version: str | None = None) -> int:
        assert version is None
        try:
            return ctypes.cast(self.library[name], ctypes.c_void_p).value or 0
        except AttributeError as error:
            raise UnresolvedSymbol(name, None, self.name, ("cosf", "cosl")) from error

    def close(self) -> None:
        self.closed.append(self.name)


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(lambda name: SystemLibrary(name, []), lambda: ["libm.so.6", "libz.so.1"])
    yield made
    made.close()


@pytest.mark.parametrize(("line", "answer"), [
    ("libm.so.6 cosf 0.0", "  1.000000"),
    ("libm.so.6 sinf 0", "  0.000000"),
    ("  libm.so.6   tanf   1.0  ", "  1.557408"),
    ("libm.so.6 float expf(float x) 88", "  1.65163627e+38"),
    ("libm.so.6 sqrtf inf", "  inf"),
    ("libm.so.6 double pow(double, double) 2 10", "  1024.0"),
    ("libm.so.6 double sqrt(double) 2", "  1.4142135623730951"),
    ("libc.so.6 int abs(int) -5", "  5"),
    ("libc.so.6 int abs(int) -0x10", "  16"),
    ("libc.so.6 int abs(int) 010", "  8"),
    ("libc.so.6 int toupper(int) 'a'", "  65"),
    (r"libc.so.6 int toupper(int) '\n'", "  10"),
    ('libc.so.6 size_t strlen(const char *) "late binding"', "  12"),
    (r'libc.so.6 size_t strlen(const char *) "a\tb\x41\101\"é"', "  8"),
    ('libc.so.6 char *strchr(const char *, int) "late binding" \'b\'', '  "binding"'),
    (r"""libc.so.6 char *strchr(const char *, int) "'a\"\001\xff" 97""", r'  "a\"\001\377"'),
    ('libc.so.6 char *strchr(const char *, int) "late binding" \'z\'', "  NULL"),
    ("libc.so.6 void *memchr(const void *, int, size_t) NULL 0 0", "  NULL"),
    ("libc.so.6 void srand(unsigned) 1", "  void"),
    ("libc.so.6 int isatty(int) -1", "  0"),
    ("libm.so.6 long double sqrtl(long double) 4", "  2.0"),
    ("libm.so.6 double _Complex conj(double _Complex) 1+2j", "  (1-2j)"),
    (
        """libc.so.6 int snprintf(char *, size_t, const char *, ...) NULL 0 "%d %s %g %c %p" -5 "text" 0.5 'x' NULL""",
        "  19",
    ),
])  # fmt: skip
def test_a_line_is_answered(session: Session, line: str, answer: str) -> None:
    assert session.execute(line) == answer


@pytest.mark.parametrize(("line", "message"), [
    ("libm.so.6", SHAPE),
    ("libm.so.6 cosf", SHAPE),
    ("libm.so.6 cosf abc", "cosf, argument 1 (float): abc is not a number"),
    ("libm.so.6 cosf 1e39", "libm.so.6: cosf, parameter 1 (float): 1e+39 does not fit: float ends at 3.4028235e+38"),
    ("libm.so.6 cosf 1 2", "float cosf(float) takes 1 argument, not 2"),
    ("libm.so.6 cos-f 1", f"'cos-f' is no function's name; {SHAPE}"),
    ("libm.so.6 cosv 1", "libm.so.6: no symbol cosv; did you mean cosf or cosl?"),
    ("libn.so.6 cosf 1", "libn.so.6: no such library (1 place tried); did you mean libm.so.6 or libz.so.1?"),
    ("no_such_library.so.9 cosf 0.0", "no_such_library.so.9: no such library (1 place tried)"),
    ("libc.so.6 int abs(int 5", "not a C prototype: 'int abs(int 5' (a parenthesis is not closed)"),
    ("libc.so.6 int abs(foo) 5",
     "unknown type 'foo' in 'int abs(foo)': by value only C's own and <stdint.h>'s are known"),
    ("libc.so.6 int abs(int) 1.5", "abs, argument 1 (int): 1.5 is not a whole number"),
    ("libc.so.6 int abs(int) 99999999999",
     "libc.so.6: abs, parameter 1 (int): 99999999999 does not fit: int holds -2147483648 to 2147483647"),
    ("libc.so.6 int abs(int) 'ab'", "abs, argument 1 (int): 'ab' is not one character"),
    ("libc.so.6 size_t strlen(const char *) late",
     'strlen, argument 1 (const char *): late is not an address, NULL or a "text in quotes"'),
    ('libc.so.6 size_t strlen(const char *) "late', 'a quote is not closed: "late'),
    ('libc.so.6 void *memset(void *, int, size_t) "constant" 0 8',
     ("libc.so.6: memset, parameter 1 (void *): the function may write through void *; "
      "pass a writable buffer such as bytearray")),
    ("libc.so.6 int printf(const char *, ...)",
     "int printf(const char *, ...) takes at least 1 argument, not 0"),
    ("libc.so.6 int abs(struct point) 1", "abs, argument 1 (struct point): a struct point cannot be written in a line"),
])  # fmt: skip
def test_a_wrong_line_gets_one_clear_line_and_the_session_goes_on(session: Session, line: str, message: str) -> None:
    with pytest.raises(LineError) as caught:
        session.execute(line)
    assert str(caught.value) == message
    assert session.execute("libm.so.6 cosf 0.0") == "  1.000000"


def test_libraries_stay_open_until_the_session_is_closed() -> None:
    loaded: list[str] = []
    closed: list[str] = []

    def load(name: str) -> SystemLibrary:
        loaded.append(name)
        return SystemLibrary(name, closed)

    session = Session(load)
    for line in ("libm.so.6 cosf 0", "libc.so.6 int abs(int) 1", "libm.so.6 sinf 0"):
        session.execute(line)
    assert (loaded, closed) == (["libm.so.6", "libc.so.6"], [])
    session.close()
    assert closed == ["libc.so.6", "libm.so.6"]


def test_a_missing_dependency_is_not_taken_for_a_missing_library() -> None:
    def load(name: str) -> SystemLibrary:
        raise NotFound("libinner.so", name, (Tried("/lib/libinner.so", "no such file"),))

    with pytest.raises(LineError, match="^libinner.so: not found, needed by ./libouter.so; tried /lib/libinner.so: no"):
        Session(load).execute("./libouter.so f 1")


def test_a_prototype_ends_where_its_parameters_end() -> None:
    line = parse_line("libc.so.6 void (*signal(int sig, void (*func)(int)))(int) 2 NULL")
    assert line.prototype.name == "signal"
    assert line.arguments == ("2", "NULL")


def test_a_path_with_blanks_is_quoted() -> None:
    assert parse_line('"./my lib.so" cosf 1').library == "./my lib.so"


@given(st.text())
def test_any_line_is_taken_apart_or_refused_in_one_line(text: str) -> None:
    try:
        line = parse_line(text)
    except LineError as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert line.library


@given(st.binary(max_size=50))
def test_a_text_that_is_shown_can_be_typed_in_again(value: bytes) -> None:
    prototype = parse_prototype("const char *f(const char *)")
    shown = show(prototype.result, value).strip()
    assert "\n" not in shown
    assert read_value(prototype.parameters[0].type, shown) == value


@pytest.mark.parametrize(("written", "value"), [("true", True), ("0", False)])
def test_a_bool_is_written_as_in_c(written: str, *, value: bool) -> None:
    wanted = parse_prototype("bool f(bool)").result
    assert read_value(wanted, written) is value
    assert show(wanted, value) == f"  {str(value).lower()}"
    with pytest.raises(ValueError, match="2 is neither true nor false"):
        read_value(wanted, "2")


def test_an_address_is_shown_in_hexadecimal() -> None:
    assert show(parse_prototype("void *f(void)").result, 0x7F00) == "  0x7f00"
