"""The static linker: what it gives is a shared object like any other, and bad input is refused by name."""

from __future__ import annotations

import ctypes
import random
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import LatebindError, MalformedElf, NotFound, UnresolvedSymbol, Unsupported
from latebind.elf import read, read_archive
from latebind.linkplan.static import link
from support import needs
from support.machine import AARCH64, ELSEWHERE, HERE, X86_64

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

MODELS = {
    "pic": ["-fPIC"],
    "small": ["-fpic"],
    "no-plt": ["-fPIC", "-fno-plt"],
    "get_addr": ["-fPIC", HERE.tls_dialects[0]],
    "descriptors": ["-fPIC", HERE.tls_dialects[1]],
    "sections": ["-fPIC", "-ffunction-sections", "-fdata-sections"],
    "common": ["-fPIC", "-fcommon"],
    "optimised": ["-fPIC", "-O3"],
}
if HERE is X86_64:
    MODELS |= {"pie": ["-fPIE"], "large": ["-fPIC", "-mcmodel=large"]}

MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int counter;
int helper(int);
static __thread int local = 5;
__thread int global = 9;
static int order[8], used;
__attribute__((constructor(200))) static void second(void){ order[used++] = 2; }
__attribute__((constructor(101))) static void first(void){ order[used++] = 1; }
__attribute__((constructor)) static void third(void){ order[used++] = 3; }
int constructed(void){ return order[0] * 100 + order[1] * 10 + order[2]; }
static const char *names[] = {"zero", "one", "two"};
const char *name(int i){ return names[i]; }
int bump(void){ return ++local + ++global; }
int call(int v){ return helper(v) + (int)strlen(name(1)) + atoi("4") + ++counter; }
int (*pointer)(int) = helper;
int through_pointer(int v){ return pointer(v); }
int print(char *out){ return snprintf(out, 20, "%d-%.2f", 7, 1.5); }
int jump(int i){ switch (i) { case 0: return 3; case 1: return 1; case 2: return 4; case 3: return 15; case 4: return 9;
    default: return 0; } }
"""
# With -fno-pic: an address in an instruction, or the place of a thread-local variable.
FIXED = (
    "static __thread int x; int *f(void){ return &x; }" if HERE is AARCH64 else
    "static int x[4]; int *f(int i){ return &x[i]; }"
)  # fmt: skip
HELPER = "extern int counter; int helper(int v){ return v * 2 + counter * 0; } int peek(void){ return counter; }"


def check(library: lb.Library) -> None:
    assert library.function("int constructed(void)")() == 123
    assert library.function("const char *name(int)")(2) == b"two"
    assert [library.function("int bump(void)")() for _ in range(2)] == [16, 18]
    assert [library.function("int call(int)")(10) for _ in range(2)] == [28, 29]
    assert library.function("int peek(void)")() == 2
    assert library.function("int through_pointer(int)")(8) == 16
    out = bytearray(20)
    assert library.function("int print(void *)")(out) == 6
    assert out.startswith(b"7-1.50\0")
    assert [library.function("int jump(int)")(i) for i in range(6)] == [3, 1, 4, 15, 9, 0]


class TestObjects:
    @pytest.mark.parametrize("model", MODELS)
    def test_two_objects_in_every_model(self, cc: Compiler, model: str) -> None:
        """Also -fPIE, which is what compilers make by default: its code is adapted while it is loaded."""
        objects = [
            cc.object(MAIN, name="main.o", flags=MODELS[model]),
            cc.object(HELPER, name="help.o", flags=MODELS[model]),
        ]
        with lb.load(lb.link(*objects), namespace=lb.Namespace()) as library:
            check(library)

    def test_one_object_is_loaded_like_a_library(self, cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
        path = cc.object("int one(void){ return 1; }", name="one.o")
        with lb.load(path) as library:
            assert library.path == str(path)
            assert library.function("int one(void)")() == 1
        with lb.load(path.read_bytes()) as library:
            assert library.function("int one(void)")() == 1
        monkeypatch.chdir(path.parent)
        with lb.load("one.o") as library:
            assert library.function("int one(void)")() == 1

    def test_the_result_is_an_ordinary_shared_object(self, cc: Compiler, tmp_path: Path) -> None:
        """For the system's linker and for readelf too."""
        result = tmp_path / "libresult.so"
        elf = lb.link(cc.object(MAIN, name="main.o"), cc.object(HELPER, name="help.o"), soname="libresult.so")
        result.write_bytes(elf.data)
        loaded = ctypes.CDLL(str(result))
        assert loaded.call(10) == 28
        assert loaded.constructed() == 123
        text = subprocess.run(
            [needs.program("readelf", "binutils"), "-aW", result], capture_output=True, text=True, check=True
        )
        assert text.stderr == ""
        assert re.search(r"NEEDED.*\[libc\.so\.6\]", text.stdout)
        assert re.search(r"SONAME.*\[libresult\.so\]", text.stdout)
        assert re.search(rf"snprintf@{re.escape(HERE.first_version)}", text.stdout)

    def test_references_get_the_version_that_a_linker_would_note(self, cc: Compiler) -> None:
        """Without it the oldest version would be taken: another `memcpy`, another `pthread_cond_wait`."""
        path = cc.object(
            "#include <pthread.h>\n#include <string.h>\nvoid *a(void){ return (void *)pthread_cond_wait; }"
            "void *b(void){ return (void *)memcpy; }"
        )
        versions = {s.name: s.version for s in lb.link(path).symbols}
        newer = ("GLIBC_2.3.2", "GLIBC_2.14") if HERE is X86_64 else (HERE.first_version,) * 2
        assert (versions["pthread_cond_wait"], versions["memcpy"]) == newer

    def test_only_needed_libraries_are_noted(self, cc: Compiler) -> None:
        plain = lb.link(cc.object("int f(int x){ return x; }", name="plain.o"))
        assert plain.dynamic.needed == ()
        mathematical = lb.link(cc.object("double cbrt(double); double f(double x){ return cbrt(x); }", name="m.o"))
        assert mathematical.dynamic.needed == ("libm.so.6",)

    def test_libraries_can_be_named(self, cc: Compiler) -> None:
        path = cc.object("unsigned long crc32(unsigned long, const char *, unsigned); "
                         'unsigned long f(void){ return crc32(0, "hello", 5); }')  # fmt: skip
        elf = lb.link(path, libraries=["libz.so.1"])
        assert elf.dynamic.needed == ("libz.so.1",)
        with lb.load(elf, namespace=lb.Namespace()) as library:
            assert library.function("unsigned long f(void)")() == 907060870

    def test_what_stays_undefined_is_bound_when_it_is_loaded(self, cc: Compiler) -> None:
        path = cc.object("int host(int); int f(int v){ return host(v); }")
        with pytest.raises(UnresolvedSymbol) as caught:
            lb.load(path)
        assert (caught.value.symbol, caught.value.referrer) == ("host", str(path))
        with lb.load(path, hooks={"host": ("int host(int)", lambda v: v + 1)}) as library:
            assert library.function("int f(int)")(1) == 2

    def test_hidden_symbols_stay_inside(self, cc: Compiler) -> None:
        a = cc.object('__attribute__((visibility("hidden"))) int secret(void){ return 4; }', name="a.o")
        b = cc.object("int secret(void); int f(void){ return secret(); }", name="b.o")
        with lb.load(lb.link(a, b)) as library:
            assert library.function("int f(void)")() == 4
            with pytest.raises(UnresolvedSymbol):
                library.symbol("secret")

    def test_a_hidden_symbol_without_definition(self, cc: Compiler) -> None:
        path = cc.object('__attribute__((visibility("hidden"))) int secret(void); int f(void){ return secret(); }')
        with pytest.raises(UnresolvedSymbol) as caught:
            lb.link(path)
        assert (caught.value.symbol, caught.value.referrer) == ("secret", str(path))

    def test_weak_symbols(self, cc: Compiler) -> None:
        a = cc.object("__attribute__((weak)) int v(void){ return 1; } __attribute__((weak)) int none(void);"
                      "int f(void){ return 10 * v() + (none ? none() : 5); }", name="a.o")  # fmt: skip
        b = cc.object("int v(void){ return 2; }", name="b.o")
        for objects, expected in (((a,), 15), ((a, b), 25), ((b, a), 25)):
            with lb.load(lb.link(*objects)) as library:
                assert library.function("int f(void)")() == expected

    def test_common_symbols_share_the_largest_room(self, cc: Compiler) -> None:
        a = cc.object("int shared[4]; int *f(void){ return shared; }", name="a.o", flags=["-fPIC", "-fcommon"])
        b = cc.object("int shared[64]; int *g(void){ return shared; }", name="b.o", flags=["-fPIC", "-fcommon"])
        elf = lb.link(a, b)
        assert {s.size for s in elf.symbols if s.name == "shared"} == {256}
        with lb.load(elf) as library:
            assert library.function("void *f(void)")() == library.function("void *g(void)")()

    def test_functions_that_are_chosen_at_run_time(self, cc: Compiler) -> None:
        path = cc.object(
            "static int one(void){ return 1; } static void *pick(void){ return one; }"
            'int chosen(void) __attribute__((ifunc("pick"))); int direct(void){ return chosen(); }'
            "int (*pointer)(void) = chosen; int indirect(void){ return pointer(); }"
        )
        with lb.load(path) as library:
            names = ("chosen", "direct", "indirect")
            assert [library.function(f"int {name}(void)")() for name in names] == [1, 1, 1]

    def test_large_alignments_and_large_zeroed_data(self, cc: Compiler) -> None:
        path = cc.object(
            "__attribute__((aligned(16384))) int page[4]; char zero[30000000]; __thread char block[5000];"
            "long f(void){ return (long)page % 16384 + zero[29999999] + block[4999]; }"
        )
        elf = lb.link(path)
        assert len(elf.data) < 200_000
        with lb.load(elf) as library:
            assert library.function("long f(void)")() == 0

    def test_marks_around_a_section(self, cc: Compiler) -> None:
        a = cc.object('__attribute__((section("things"), used)) static int a = 1;', name="a.o")
        b = cc.object('__attribute__((section("things"), used)) static int b[2] = {2, 3};'
                      "extern int __start_things[], __stop_things[];"
                      "int f(void){ int n = 0, *p = __start_things; while (p < __stop_things) n += *p++; return n; }",
                      name="b.o")  # fmt: skip
        with lb.load(lb.link(a, b)) as library:
            assert library.function("int f(void)")() == 6

    def test_old_constructors_run_from_the_last_to_the_first(self, cc: Compiler) -> None:
        path = cc.object(
            "static int log; int f(void){ return log; } static void a(void){ log = log * 10 + 1; }"
            "static void b(void){ log = log * 10 + 2; }"
            '__attribute__((section(".ctors"), used)) static void (*list[])(void) = {a, b};'
        )
        with lb.load(path) as library:
            assert library.function("int f(void)")() == 21

    def test_pieces_of_init_make_one_function(self, cc: Compiler) -> None:
        call = "bl" if HERE is AARCH64 else "call"
        path = cc.object(
            "static int n; int f(void){ return n; } __attribute__((used)) static void up(void){ n++; }"
            + f'__asm__(".pushsection .init,\\"ax\\",%progbits\\n {call} up\\n .popsection");' * 2
        )
        with lb.load(path) as library:
            assert library.function("int f(void)")() == 2

    def test_atexit_handlers_run_when_it_is_closed(self, cc: Compiler) -> None:
        """As in a library that a compiler links: the handlers belong to the object."""
        path = cc.object(
            "#include <stdlib.h>\nstatic int *where; static void end(void){ *where = 7; }"
            "void f(int *p){ where = p; atexit(end); }"
        )
        target = (ctypes.c_int * 1)()
        with lb.load(path) as library:
            library.function("void f(void *)")(target)
        assert target[0] == 7


class TestCPlusPlus:
    SHARED = """
        #include <stdexcept>
        #include <string>
        template <class T> struct Count { static int next(){ static int n = 40; return ++n; } };
        inline int sum(int a){ static int s; return s += a; }
        struct Base { virtual ~Base(){} virtual int f(){ return 1; } };
        struct Derived : Base { int f() override { return 2; } };
        Base *make();
        int thrower(int n);
    """
    FIRST = SHARED + """
        #include <map>
        #include <sstream>
        #include <typeinfo>
        static std::string built("built");
        static int *gone;
        struct Last { ~Last(){ if (gone) *gone = 1; } } last;
        extern "C" void at_end(int *p){ gone = p; }
        extern "C" int caught(int n){
            try { return thrower(n); } catch (const std::invalid_argument &e) { return std::string(e.what()).size(); }
        }
        extern "C" int dynamic(){ Base *b = make(); Derived *d = dynamic_cast<Derived *>(b);
            int r = d && typeid(*b) == typeid(Derived) ? d->f() : -1; delete b; return r; }
        extern "C" int streams(){ std::ostringstream o; o << built << 42; return o.str() == "built42"; }
        extern "C" int shared_statics(){ return sum(2) + Count<int>::next(); }
    """  # fmt: skip
    SECOND = SHARED + """
        Base *make(){ return new Derived; }
        int thrower(int n){ if (n) throw std::invalid_argument("bad"); return 0; }
        extern "C" int other_statics(){ return sum(3) + Count<int>::next(); }
    """  # fmt: skip

    @pytest.mark.parametrize("model", [m for m in MODELS if m in {"pic", "pie", "large", "sections", "optimised"}])
    def test_two_units(self, tmp_path: Path, model: str) -> None:
        objects = []
        for name, source in (("first", self.FIRST), ("second", self.SECOND)):
            text, out = tmp_path / f"{name}.cc", tmp_path / f"{name}.o"
            text.write_text(source)
            subprocess.run([needs.program("c++", "g++"), "-c", *MODELS[model], "-o", out, text], check=True)
            objects.append(out)
        gone = (ctypes.c_int * 1)()
        with lb.load(lb.link(*objects), namespace=lb.Namespace()) as library:
            assert library.function("int caught(int)")(1) == 3
            assert library.function("int caught(int)")(0) == 0
            assert library.function("int dynamic(void)")() == 2
            assert library.function("int streams(void)")() == 1
            assert library.function("int shared_statics(void)")() == 2 + 41
            assert library.function("int other_statics(void)")() == 5 + 42
            library.function("void at_end(void *)")(gone)
        assert gone[0] == 1


class TestArchives:
    def test_only_the_needed_members_are_taken(self, cc: Compiler) -> None:
        used = cc.object("int deeper(void); int used(void){ return deeper(); }", name="used.o")
        deeper = cc.object("int deeper(void){ return 3; }", name="deeper.o")
        unused = cc.object("int nowhere(void); int unused(void){ return nowhere(); }", name="unused.o")
        archive = cc.archive(unused, deeper, used)
        main = cc.object("int used(void); int f(void){ return used(); }", name="main.o")
        with lb.load(lb.link(main, archive)) as library:
            assert library.function("int f(void)")() == 3
            with pytest.raises(UnresolvedSymbol):
                library.symbol("unused")

    def test_entry_points_can_be_named(self, cc: Compiler) -> None:
        one = cc.object("int one(void){ return 1; }", name="one.o")
        broken = cc.object("int nowhere(void); int two(void){ return nowhere(); }", name="two.o")
        archive = cc.archive(one, broken)
        with lb.load(lb.link(archive, wanted=["one"])) as library:
            assert library.function("int one(void)")() == 1
        with pytest.raises(UnresolvedSymbol, match="three"):
            lb.link(archive, wanted=["three"])

    def test_an_archive_alone_gives_all_that_it_defines(self, cc: Compiler) -> None:
        archive = cc.archive(*(cc.object(f"int f{n}(void){{ return {n}; }}", name=f"f{n}.o") for n in range(4)))
        with lb.load(archive) as library:
            assert [library.function(f"int f{n}(void)")() for n in range(4)] == [0, 1, 2, 3]

    def test_archives_may_need_each_other(self, cc: Compiler) -> None:
        a = cc.archive(cc.object("int b(void); int a(void){ return b(); }", name="a.o"), name="liba.a")
        b = cc.archive(cc.object("int c(void); int b(void){ return c(); }", name="b.o"),
                       cc.object("int d(void){ return 8; }", name="d.o"), name="libb.a")  # fmt: skip
        c = cc.archive(cc.object("int d(void); int c(void){ return d(); }", name="c.o"), name="libc1.a")
        with lb.load(lb.link(a, b, c, wanted=["a"])) as library:
            assert library.function("int a(void)")() == 8

    def test_long_names_and_no_symbol_table(self, cc: Compiler) -> None:
        name = "a_member_whose_name_does_not_fit_in_sixteen_characters.o"
        archive = cc.archive(cc.object("int one(void){ return 1; }", name=name), flags="rcS")
        read_back = read_archive(archive)
        assert [m.name for m in read_back.members] == [name]
        with lb.load(archive) as library:
            assert library.function("int one(void)")() == 1

    def test_a_thin_archive(self, cc: Compiler) -> None:
        """Its members are files of their own."""
        with lb.load(cc.archive(cc.object("int one(void){ return 1; }"), flags="rcT")) as library:
            assert library.function("int one(void)")() == 1

    def test_one_member(self, cc: Compiler) -> None:
        broken = cc.object("int nowhere(void); int two(void){ return nowhere(); }", name="two.o")
        archive = cc.archive(cc.object("int one(void){ return 1; }", name="one.o"), broken)
        with lb.load(f"{archive}(one.o)") as library:
            assert library.function("int one(void)")() == 1

    def test_errors_name_the_member(self, cc: Compiler) -> None:
        archive = cc.archive(cc.object(FIXED, name="bad.o", flags=["-fno-pic"]))
        with pytest.raises(Unsupported) as caught:
            lb.load(archive)
        assert str(caught.value).startswith(f"{archive}(bad.o): .text+")


class TestRefused:
    def test_code_for_a_fixed_address(self, cc: Compiler) -> None:
        path = cc.object(FIXED, flags=["-fno-pic"])
        with pytest.raises(Unsupported, match=r"R_(X86_64_32S?|AARCH64_TLSLE\S*) against .*compile it with -fPIC"):
            lb.link(path)

    def test_two_definitions(self, cc: Compiler) -> None:
        a, b = (cc.object("int twice(void){ return 1; }", name=name) for name in ("a.o", "b.o"))
        with pytest.raises(Unsupported, match=r"b\.o: defines twice, which .*a\.o defines too"):
            lb.link(a, b)

    def test_a_shared_object_among_the_inputs(self, cc: Compiler) -> None:
        with pytest.raises(Unsupported, match="is no relocatable object"):
            lb.link(cc.shared("int one(void){ return 1; }"))

    def test_another_machines_object(self, cc: Compiler, tmp_path: Path) -> None:
        data = bytearray(cc.object("int one(void){ return 1; }").read_bytes())
        data[18:20] = (243).to_bytes(2, "little")
        with pytest.raises(Unsupported, match="RISC-V"):
            lb.link(bytes(data))
        data[18:20] = ELSEWHERE.number.to_bytes(2, "little")
        with pytest.raises(Unsupported, match=f"is for {read(bytes(data)).header.machine_name}, .*test.o is not"):
            lb.link(tmp_path / "test.o", bytes(data))

    def test_an_object_without_machine_code(self, cc: Compiler) -> None:
        path = cc.object("int one(void){ return 1; }", flags=["-fPIC", "-flto", "-fno-fat-lto-objects"])
        with pytest.raises(Unsupported, match="slim LTO"):
            lb.link(path)

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(NotFound):
            lb.link("/nowhere/x.o")

    def test_an_executable_stack_is_asked_for_on_behalf_of_an_input(self, cc: Compiler) -> None:
        path = cc.object('__asm__(".section .note.GNU-stack,\\"x\\",@progbits\\n.text"); int f(void){ return 1; }')
        text = path.with_suffix(".s")
        text.write_text('.globl f\nf: ret\n.section .note.GNU-stack,"x",@progbits\n')
        subprocess.run(["cc", "-c", "-o", path, text], check=True)
        with pytest.raises(Unsupported, match="executable stack"):
            lb.load(path)


class TestDamaged:
    """Whatever is in the file: a result, or an error that names it."""

    def test_objects(self, cc: Compiler) -> None:
        data = cc.object(MAIN, name="main.o").read_bytes()
        dice = random.Random(4)
        outcomes = {"linked": 0, "refused": 0}
        for _ in range(400):
            damaged = bytearray(data)
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(len(data))] = dice.randrange(256)
            try:
                link([read(bytes(damaged), name="damaged.o")])
                outcomes["linked"] += 1
            except LatebindError as e:
                assert str(e)
                outcomes["refused"] += 1
        assert min(outcomes.values()) > 20

    def test_truncated_objects(self, cc: Compiler) -> None:
        data = cc.object(MAIN, name="main.o").read_bytes()
        for size in range(0, len(data) - 1, 97):
            with pytest.raises(MalformedElf):
                link([read(data[:size], name="cut.o")])

    def test_archives(self, cc: Compiler) -> None:
        data = cc.archive(cc.object(MAIN, name="main.o"), cc.object(HELPER, name="help.o")).read_bytes()
        dice = random.Random(5)
        refused = 0
        for _ in range(300):
            damaged = bytearray(data)
            damaged[dice.randrange(8, 400 if dice.random() < 0.7 else len(data))] = dice.randrange(256)
            try:
                link([read_archive(bytes(damaged), name="damaged.a")])
            except LatebindError as e:
                assert str(e)
                refused += 1
        assert refused > 20
