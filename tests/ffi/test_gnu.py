"""GNU C in headers: attributes that change how values lie, compared with gcc; and the headers of real libraries."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind import ffi
from latebind.ffi import Header, Kind
from support import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi import CType
    from support.compiler import Compiler

ATTRIBUTES = r"""
struct c1 { char a; int b; } __attribute__((packed));
struct __attribute__((packed)) c2 { char a; long b; short c; };
struct c3 { char a; int b __attribute__((packed)); long c; };
struct c4 { char a; int b __attribute__((aligned(16))); char c; };
struct c5 { char a; char b; } __attribute__((aligned(32)));
struct c6 { char a; __attribute__((aligned(8))) char b, c; char d; };
struct c7 { char a, b __attribute__((aligned(4))), c; };
struct c8 { char a; struct { char x; int y; } __attribute__((packed)) in; int z; };
struct c9 { char a; struct { char x; int y __attribute__((aligned(8))); } in __attribute__((packed)); int z; };
typedef int al16 __attribute__((aligned(16)));
typedef int un1 __attribute__((aligned(1)));
typedef __attribute__((aligned(8))) short s8, *ps8;
struct c10 { char a; al16 b; un1 c; s8 d; ps8 e; };
struct c11 { char a; al16 b; s8 c; } __attribute__((packed));
struct c12 { char a; int b : 3 __attribute__((packed)); int c : 30; } __attribute__((packed));
struct c13 { int a : 3; int b : 5 __attribute__((aligned(8))); int c : 30; };
union c14 { char a; int b; long long c; } __attribute__((packed, aligned(2)));
struct c15 { char a; _Alignas(16) int b; _Alignas(long) char c; };
enum __attribute__((packed)) e1 { E1A, E1B = 200 };
enum e2 { E2A = -1, E2B = 200 } __attribute__((packed));
enum e3 { E3A = 1 << 20 } __attribute__((__packed__));
enum e4 { E4A = (unsigned long)-3 };
struct c16 { enum e1 a; enum e2 b; enum e3 c; enum e4 d; };
typedef struct { char a; int b; } __attribute__((aligned)) c17;
typedef struct { char a; long b; } c18 __attribute__((aligned(64)));
struct c19 { char a; c18 b; c17 c; };
typedef unsigned int u8t __attribute__((mode(QI)));
typedef int i64t __attribute__((__mode__(__DI__)));
typedef float dft __attribute__((mode(DF)));
struct c20 { u8t a; i64t b; dft c; };
#pragma pack(push, 2)
struct c21 { char a; int b __attribute__((aligned(8))); long c; int d : 5; int e : 30; } __attribute__((aligned(16)));
#pragma pack(pop)
struct c22 { char a; int : 0; char b; char : 3; int c : 30; } __attribute__((packed));
struct c23 { char a[3]; __extension__ struct { short x; __extension__ long long y; }; } __attribute__((packed));
struct c24 { unsigned long a __attribute__((aligned(sizeof(long) * 2))); char b; };
struct c25 {
    char a; int *p __attribute__((aligned(16))); int (*f)(int a, char b) __attribute__((aligned(32)));
    int arr[3] __attribute__((packed));
};
struct c26 { struct c1 a[3]; struct c5 b; int c; } __attribute__((packed, aligned(4)));
struct c27 { char a; long double b; } __attribute__((packed));
struct c28 { char a; _Bool b : 1; long c : 40; short d : 9; } __attribute__((packed));
struct c29 { __attribute__((packed)) struct { char q; int r; } x; char y; };
struct c30 { char a; double _Complex z; __int128 i; } __attribute__((packed, aligned(8)));
struct c31 { const struct c1 *volatile p; char c; struct c5 *q[2] __attribute__((packed)); };
struct c32 { int n; int tail[]; } __attribute__((aligned(16)));
struct c33 { char n; int tail[]; } __attribute__((packed));
typedef float v4 __attribute__((vector_size(16)));
struct c34 { char a; v4 b; __typeof_like_nothing c; };
""".replace("__typeof_like_nothing", "v4 *")
REAL = {  # a header, and the package of Debian that has it
    "stdio.h": "libc6-dev", "string.h": "libc6-dev", "stdlib.h": "libc6-dev", "math.h": "libc6-dev",
    "complex.h": "libc6-dev", "sys/socket.h": "libc6-dev", "pthread.h": "libc6-dev",
    "ucontext.h": "libc6-dev", "linux/bpf.h": "linux-libc-dev",
    "zlib.h": "zlib1g-dev", "sqlite3.h": "libsqlite3-dev",
}  # fmt: skip


def facts(header: Header) -> Iterator[tuple[str, int]]:
    """C expressions, and what the header says that they are."""
    for name, type_ in {**header.tags, **header.typedefs}.items():
        if is_complete(type_):
            yield f"sizeof({name})", type_.bytes
            yield f"_Alignof({name})", type_.alignment
        if type_.kind is Kind.INTEGER:
            yield f"({name})-1 < 0", type_.signed
        for field in (type_.record.fields if type_.kind is Kind.RECORD and type_.record is not None else None) or ():
            if field.name and not field.width:
                yield f"__builtin_offsetof({name}, {field.name})", field.offset


def is_complete(type_: CType) -> bool:
    if type_.kind is Kind.RECORD:
        return type_.record is not None and bool(type_.record.fields)
    return type_.kind not in {Kind.VOID, Kind.FUNCTION} and not (type_.kind is Kind.ARRAY and not type_.length)


def check(header: Header, source: str, cc: Compiler) -> int:
    """Let the compiler prove every fact; how many there were."""
    found = list(facts(header))
    proofs = "".join(f'_Static_assert(({fact}) == {int(value)}, "{fact}");\n' for fact, value in found)
    cc.shared(source + proofs, name="facts.so", flags=["-w", "-D_GNU_SOURCE"])
    return len(found)


def preprocessed(header: str) -> str:
    needs.program("cc", "gcc")
    source = f"#define _GNU_SOURCE\n#include <{header}>\n"
    run = subprocess.run(["cc", "-E", "-x", "c", "-"], input=source, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.skip(f"{header} is missing; apt install {REAL[header]}")
    return run.stdout


def test_attributes_change_layouts_as_they_do_for_gcc(cc: Compiler) -> None:
    assert check(Header(ATTRIBUTES), ATTRIBUTES, cc) > 180


@pytest.mark.parametrize("name", REAL)
def test_a_real_header_lies_as_the_compiler_sees_it(name: str, cc: Compiler) -> None:
    assert check(Header(preprocessed(name)), f"#include <{name}>\n", cc) > 0 or name == "complex.h"


def test_functions_of_real_headers_are_called() -> None:
    zlib = Header(preprocessed("zlib.h")).bind(lb.load("libz.so.1"))
    assert zlib.zlibVersion().startswith(b"1.")
    assert zlib.crc32(0, b"late", 4) == zlib.crc32(zlib.crc32(0, b"la", 2), b"te", 2)
    text, packed = b"late binding " * 50, bytearray(200)
    size = ffi.new("unsigned long", len(packed))
    assert zlib.compress(packed, size, text, len(text)) == 0
    plain, length = bytearray(len(text)), ffi.new("unsigned long", len(text))
    assert zlib.uncompress(plain, length, packed, size.value) == 0
    assert plain == text


def test_a_database_answers_through_a_callback() -> None:
    header = Header(preprocessed("sqlite3.h"))
    sqlite = header.bind(lb.load("libsqlite3.so.0"))
    handle = ffi.new("void *")
    assert sqlite.sqlite3_open(":memory:", handle) == 0
    rows = []

    def row(_: object, count: int, values: int, _names: int) -> int:
        texts: Any = ffi.at("char *[2]", values)
        rows.append((count, texts[0], texts[1]))
        return 0

    script = "create table t(a, b); insert into t values (1, 'one'), (2, 'two'); select * from t order by a desc"
    assert sqlite.sqlite3_exec(handle.value, script, row, None, None) == 0
    assert rows == [(2, b"2", b"two"), (2, b"1", b"one")]
    assert sqlite.sqlite3_close(handle.value) == 0


def test_a_function_of_another_symbol_is_that(cc: Compiler) -> None:
    path = cc.shared("int theirs(void) { return 1; } int hidden(void) { return 2; }")
    header = Header('int theirs(void) __asm__("" "hidden") __attribute__((nothrow)); int hidden(void);')
    with lb.load(path) as library:
        assert header.bind(library).theirs() == 2
        assert header.bind(library).hidden() == 2


def test_a_transparent_union_takes_what_its_members_take(cc: Compiler) -> None:
    text = """
    struct one { int x; }; struct two { int y; };
    typedef union { const struct one *a; const struct two *b; } either __attribute__((transparent_union));
    int read_it(either p);
    """
    path = cc.shared(text + "int read_it(either p) { return p.a->x; }")
    with lb.load(path) as library:
        header = Header(text)
        assert header.bind(library).read_it(header.two(5)) == 5
        assert header.bind(library).read_it(header.one(6)) == 6


def test_vectors_are_passed_and_come_back(cc: Compiler) -> None:
    text = """
    typedef float v4f __attribute__((vector_size(16))); typedef short v4s __attribute__((vector_size(8)));
    typedef double v8d __attribute__((vector_size(64)));
    v4f add(v4f a, v4f b); v4s twice(double x, v4s a); v4f apply(v4f (*f)(v4f), v4f a); v8d wide(v8d);
    """
    source = """
    v4f add(v4f a, v4f b) { return a + b; } v4s twice(double x, v4s a) { return a * (short)x; }
    v4f apply(v4f (*f)(v4f), v4f a) { return f(a) + 1; }
    """
    path = cc.shared(text + source, flags=["-Wno-psabi"])
    header = Header(text)
    with lb.load(path) as library:
        api = header.bind(library)
        total = api.add((1, 2, 3, 4), [0.5, 0.5, 0.5, 0.5])
        assert list(total) == [1.5, 2.5, 3.5, 4.5]
        assert list(api.add(total, total)) == [3, 5, 7, 9]
        assert list(api.twice(2.0, (1, 2, 3, -4))) == [2, 4, 6, -8]
        assert list(api.apply(lambda v: v, (1, 2, 3, 4))) == [2, 3, 4, 5]
        with pytest.raises(ValueError, match=r"add, parameter 1 .*has 4 elements, not 3"):
            api.add((1, 2, 3), total)
        with pytest.raises(lb.Unsupported, match="neither 8 nor 16 bytes"):
            header.wide.bind(1, "libx.so")


def test_a_null_is_refused_where_the_header_says_nonnull(cc: Compiler) -> None:
    text = """
    typedef int before; int both(const char *a, int n, int *b) __attribute__((aligned(16), nonnull));
    extern int one(char *a, char *b) __attribute__((__nothrow__)) __attribute__((__nonnull__(2)));
    __attribute__((nonnull(1))) int first(void *a), other(void *a);
    """
    source = """
    int both(const char *a, int n, int *b) { return n + !a + !b; } int one(char *a, char *b) { return !a + !b; }
    int first(void *a) { return !a; } int other(void *a) { return !a; }
    """
    header = Header(text)
    assert header.before.alignment == 4
    with lb.load(cc.shared(source)) as library:
        api = header.bind(library)
        assert api.both(b"", 3, ffi.new("int")) == 3
        assert api.one(None, b"") == 1
        for function, wrong in (
            (api.both, (None, 1, None)), (api.both, ("", 1, None)), (api.one, ("", None)), (api.first, (None,)),
            (api.other, (0,)),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=r"parameter . \(.*NULL"):
                function(*wrong)
    strlen = Header(preprocessed("string.h")).bind(lb.load("libc.so.6")).strlen
    assert strlen("late") == 4
    with pytest.raises(ValueError, match=r"strlen, parameter 1 \(const char \*__s\): None \(NULL\) is not allowed"):
        strlen(None)


def test_bodies_of_inline_functions_are_passed_over() -> None:
    header = Header("static inline int f(int x) { return ({ __auto_type y = x; y + 1; }); } int g(void);")
    assert (str(header.f), str(header.g)) == ("int f(int x)", "int g(void)")


def test_an_error_names_the_line_of_the_file_that_was_preprocessed() -> None:
    with pytest.raises(ValueError, match=r"not C: shape\.h:12"):
        Header('# 1 "main.c"\nint f(void);\n# 10 "shape.h"\nint g(void);\n\nint h(void;\n')


@pytest.mark.parametrize(("text", "error", "message"), [
    ('struct s { int a; } __attribute__((scalar_storage_order("big-endian")));', lb.Unsupported, "not known here"),
    ("int f(int) __attribute__((ms_abi));", lb.Unsupported, "not known here"),
    ("typedef int x __attribute__((aligned(3)));", ValueError, "3 is no alignment"),
    ("typedef int x __attribute__((mode(CQI)));", lb.Unsupported, "mode"),
    ("int f(int x __attribute__((mode(QI))));", lb.Unsupported, "type of a parameter"),
    ("typedef struct s v __attribute__((vector_size(16)));", lb.Unsupported, "is no type of C"),
    ("struct s { int a; } __attribute__((packed;", ValueError, "not closed"),
])  # fmt: skip
def test_attributes_that_are_not_understood_are_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Header(text)


def test_memory_of_a_strictly_aligned_value_is_aligned() -> None:
    header = Header("".join(f"struct s{n} {{ char c; }} __attribute__((aligned({n})));" for n in (32, 64, 256, 4096)))
    for size in (32, 64, 256, 4096):
        values = [header[f"struct s{size}"]() for _ in range(5)]
        assert all(ffi.address_of(value) % size == 0 for value in values)


def test_a_packed_bit_field_may_lie_in_nine_bytes(cc: Compiler) -> None:
    text = """
    struct nine { unsigned a : 3; unsigned long b : 64; long c : 61; } __attribute__((packed));
    struct nine next(struct nine v);
    """
    source = "struct nine next(struct nine v) { v.a++; v.b = ~v.b; v.c = -v.c; return v; }"
    with lb.load(cc.shared(text + source)) as library:
        header = Header(text)
        value = header.nine(a=6, b=0x123456789ABCDEF0, c=-(2**59))
        made = header.bind(library).next(value)
        assert (made.a, made.b, made.c) == (7, 0xEDCBA9876543210F, 2**59)
        with pytest.raises(OverflowError, match="does not fit"):
            value.c = 2**60
