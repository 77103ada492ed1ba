"""Where a prototype can come from: debug information, and Python annotations."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated, Any

import pytest

import latebind as lb
from latebind import ffi
from support import needs
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = r"""
#include <complex.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
struct hidden;
typedef struct point { double x, y; } point;
struct all {
    char name[7]; int grid[2][3]; unsigned a : 3, b : 5; struct { int in; union { float f; long l; }; } inner;
    struct all *next; const char *text; int (*compare)(const void *, const void *); _Bool flag; long double ld;
    enum { NEGATIVE = -1, POSITIVE } e;
};
enum color { RED, GREEN = 7 };
point midpoint(point a, point b) { return (point){(a.x + b.x) / 2, (a.y + b.y) / 2}; }
void scale(point *p, double by) { p->x *= by; p->y *= by; }
struct all whole(struct all v) { v.grid[1][2]++; return v; }
int sum(const struct all *v) { return v->grid[0][0] + v->a + v->b + v->inner.in; }
enum color next(enum color c) { return c == RED ? GREEN : RED; }
int apply(int (*f)(int, point), int x) { return f(x, (point){1, 2}); }
int total(int count, ...)
{ va_list l; va_start(l, count); int s = 0; while (count--) s += va_arg(l, int); va_end(l); return s; }
size_t length(const char *text) { size_t n = 0; while (text[n]) n++; return n; }
double complex turn(double complex z) { return z * I; }
uint8_t low(unsigned long v) { return (uint8_t)v; }
void opaque(struct hidden *n) { (void)n; }
__int128 wide(__int128 v, unsigned __int128 w) { return v + (__int128)w; }
int divide(int a, int b, int *rest) { *rest = a % b; return a / b; }
int (*grid_of(struct all *v))[3] { return v->grid; }
"""
PROTOTYPES = {
    "midpoint": "struct point midpoint(struct point a, struct point b)",
    "scale": "void scale(struct point *p, double by)",
    "sum": "int sum(const struct all *v)",
    "next": "enum color next(enum color c)",
    "apply": "int apply(int (*f)(int, struct point), int x)",
    "total": "int total(int count, ...)",
    "length": "unsigned long length(const char *text)",
    "turn": "double _Complex turn(double _Complex z)",
    "low": "unsigned char low(unsigned long v)",
    "opaque": "void opaque(struct hidden *n)",
    "wide": "__int128 wide(__int128 v, unsigned __int128 w)",
    "divide": "int divide(int a, int b, int *rest)",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lb.Library]:
    path = Compiler(tmp_path_factory.mktemp("debug")).shared(SOURCE, flags=["-g"])
    with lb.load(path, namespace=lb.Namespace()) as made:
        yield made


@pytest.mark.parametrize("name", PROTOTYPES)
def test_debug_information_tells_the_prototype(library: lb.Library, name: str) -> None:
    assert str(library.function(name).prototype) == PROTOTYPES[name]


def test_values_of_described_structures_go_there_and_back(library: lb.Library) -> None:
    assert library.function("midpoint")((0, 0), {"x": 2, "y": 4}) == library.function("midpoint")((1, 2), (1, 2))
    whole = library.function("whole")
    value = ffi.new(
        whole.prototype.result,
        {
            "name": "abc",
            "grid": [[1, 2, 3], [4, 5, 6]],
            "a": 5,
            "b": 31,
            "flag": True,
            "ld": 2.5,
            "text": "hi",
            "e": -1,
        },
    )
    value.inner.f = 1.5
    result = whole(value)
    assert (result.grid[1][2], result.a, result.b, result.ld, result.text, result.e) == (7, 5, 31, 2.5, b"hi", -1)
    assert (result.inner.f, result.flag, result.name.text) == (1.5, True, b"abc")
    assert library.function("sum")(value) == 1 + 5 + 31
    with pytest.raises(TypeError, match="expected a struct point, not a struct all"):
        library.function("scale")(value, 2.0)


def test_described_functions_are_called(library: lb.Library) -> None:
    assert library.function("apply")(lambda x, p: x + int(p.x + p.y), 39) == 42
    assert library.function("total")(3, 1, 2, 3) == 6
    assert library.function("divide", out=["rest"])(17, 5) == (3, 2)
    assert library.function("turn")(1 + 2j) == -2 + 1j


CPP = r"""
#include <string>
#include <vector>
struct Base { int b; };
struct Derived : Base { char c; };
struct Spoken { int x; Spoken(int v) : x(v) {} Spoken(const Spoken &o) : x(o.x) {} };
struct Holder { Spoken inner; };
struct Ended { int x; ~Ended() { x = 0; } };
struct Seen { int x; virtual int get() const { return x; } };
struct Plain { int x; Plain() = default; Plain(const Plain &) = default; };
template <class T> struct Box { T v; };
extern "C" {
int derived(Derived d) { return d.b + d.c; }
double box(Box<Box<double>> b) { return b.v.v; }
int plain(Plain p) { return p.x; }
int total(const std::vector<int> &numbers) { int s = 0; for (int n : numbers) s += n; return s; }
int increase(int &n) { return ++n; }
wchar_t after(wchar_t c) { return c + 1; }
int spoken(Spoken s) { return s.x; }
int holder(Holder h) { return h.inner.x; }
int ended(Ended e) { return e.x; }
int seen(Seen s) { return s.get(); }
std::string text(int n) { return std::string(n, 'x'); }
}
"""


@pytest.fixture(scope="module", params=[("g++", "g++"), ("clang++", "clang")])
def cpp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lb.Library]:
    command, package = request.param
    if platform.machine() != "x86_64":  # another machine's C++ compiles the same by its cross compiler
        command = "g++"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", needs.program(command, package))
        flags = ["-g", "-std=c++17", "-Wno-return-type-c-linkage"]
        path = Compiler(tmp_path_factory.mktemp("cpp")).shared_cpp(CPP, name="libcpp.so", flags=flags)
    with lb.load(path, namespace=lb.Namespace()) as made:
        yield made


def test_functions_of_cpp_are_called(cpp: lb.Library) -> None:
    assert cpp.function("derived")({"b": 3, "c": 4}) == 7  # a base's members are reached as its own
    assert cpp.function("box")(((2.5,),)) == 2.5
    assert cpp.function("plain")((5,)) == 5
    assert cpp.function("after")(65) == 66
    number = ffi.new("int", 4)
    assert (cpp.function("increase")(number), number.value) == (5, 5)


def test_a_reference_is_not_null(cpp: lb.Library) -> None:
    with pytest.raises(ValueError, match=r"increase, parameter 1 \(int \*n\): None \(NULL\) is not allowed"):
        cpp.function("increase")(None)
    assert "std::vector<int, std::allocator<int> > *" in str(cpp.function("total").prototype)


@pytest.mark.parametrize("name", ["spoken", "holder", "ended", "seen", "text"])
def test_a_class_that_only_its_own_code_can_copy_is_refused(cpp: lb.Library, name: str) -> None:
    with pytest.raises(lb.Unsupported, match="only its own code can copy or destroy|is not described here"):
        cpp.function(name)


def test_without_debug_information_a_name_is_not_enough(cc: Compiler) -> None:
    with lb.load(cc.shared("int f(int n) { return n; }"), namespace=lb.Namespace()) as library:
        with pytest.raises(lb.Unsupported, match="f: has no prototype: no debug information tells it; give its C"):
            library.function("f")
        with pytest.raises(lb.UnresolvedSymbol):
            library.function("g")


def test_separate_debug_information_is_found(cc: Compiler) -> None:
    """With a build-id that nobody else has, in a folder of our own."""
    import latebind.linkplan.declarations as d

    path = cc.shared(SOURCE, flags=["-g", "-Wl,--build-id"])
    identity = lb.read(path).build_id
    assert identity
    folder = cc.folder / "debug" / identity[:2]
    folder.mkdir(parents=True)
    import subprocess

    objcopy, strip = needs.program("objcopy", "binutils"), needs.program("strip", "binutils")
    apart = folder / f"{identity[2:]}.debug"
    subprocess.run([objcopy, "--only-keep-debug", path, apart], check=True)
    subprocess.run([strip, "--strip-debug", path], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(d, "_DEBUG_FOLDER", str(folder.parent))
        with lb.load(path, namespace=lb.Namespace()) as library:
            assert library.function("total")(2, 20, 22) == 42


Size = Annotated[int, "size_t"]
Complex = Annotated[complex, "double _Complex"]


def test_annotations_tell_the_prototype(library: lb.Library) -> None:
    def length(text: str) -> Size: ...  # type: ignore[empty-body]

    def total(count: lb.Int32, *rest: Any) -> lb.Int32: ...  # type: ignore[empty-body]

    def turn(z: Complex) -> Complex: ...  # type: ignore[empty-body]

    def opaque(n: Annotated[None, "struct hidden *"]) -> None: ...

    assert str(library.function(length).prototype) == "size_t length(const char *text)"
    assert library.function(length)("late") == 4
    assert library.function(total)(2, 1, 2) == 3
    assert library.function(turn)(1) == 1j
    assert library.function(opaque)(None) is None


def test_a_class_of_a_header_is_an_annotation(library: lb.Library) -> None:
    point = ffi.Header("struct point { double x, y; };").point

    def midpoint(a, b): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    midpoint.__annotations__ = {"a": point, "b": point, "return": point}
    assert library.function(midpoint)(point(0, 0), point(2, 2)) == point(1, 1)


def test_annotations_that_say_no_type_of_c_are_refused(library: lb.Library) -> None:
    def sized(n: int) -> None: ...

    def missing(n) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    def other(n: list[int]) -> None: ...

    def named(*, n: float) -> None: ...

    for function, message in (
        (sized, "sized, n: int says no size"),
        (missing, "missing, n: no annotation"),
        (other, "other, n: list"),
        (named, "named: n cannot be passed by position"),
    ):
        with pytest.raises(TypeError, match=message):
            library.function(function)
