"""Near misses: another version, other parameters, another spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind import plan
from latebind.elf.demangle import demangle
from latebind.linkplan.near import function_name, near_misses, near_names

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.mark.parametrize(
    ("readable", "name"),
    [
        ("add(int, int)", "add"),
        ("foo::S::m(int (*)(char)) const", "foo::S::m"),
        ("foo::S::operator()(int)", "foo::S::operator()"),
        ("int foo::tt<int>(int, long)", "int foo::tt<int>"),
        ("vtable for foo::S", None),
        ("malloc", None),
        ("", None),
    ],
)
def test_the_name_of_a_demangled_function(readable: str, name: str | None) -> None:
    assert function_name(readable) == name


def test_overloads_of_every_kind_of_cxx_function(cc: Compiler) -> None:
    there = """
        namespace foo {
        int bar(int, long) { return 1; }
        struct S { S(int); void m(const char *) const; int operator+(int); int bars(int); };
        S::S(int) {} void S::m(const char *) const {} int S::operator+(int) { return 1; } int S::bars(int) { return 1; }
        template <class T> T tt(T, int);
        template <> int tt<int>(int, int) { return 1; }
        }
        int operator-(foo::S &, int) { return 1; }
    """
    wanted = """
        namespace foo {
        int bar(int, int);
        struct S { S(long); void m(char *); int operator+(long); };
        template <class T> T tt(T, long);
        template <> int tt<int>(int, long);
        }
        int operator-(foo::S &, long);
        int use(foo::S &s) {
            s.m(nullptr);
            foo::S q(3L);
            return (q + 3L) + (q - 3L) + foo::bar(1, 2) + foo::tt<int>(1, 2L);
        }
    """
    library = cc.shared_cpp(there, name="libthere.so")
    made = plan(cc.shared_cpp(wanted, name="libuser.so", flags=["-Wl,--no-as-needed", str(library)]))
    found = {}
    for lost in made.unresolved:
        near = near_misses(lost.symbol, lost.version, [made.objects[1].elf])
        found[demangle(lost.symbol)] = [demangle(n.symbol) for n in near if "other parameters" in n.why]
    assert found == {
        "foo::bar(int, int)": ["foo::bar(int, long)"],
        "foo::S::S(long)": ["foo::S::S(int)", "foo::S::S(int)"],  # the complete object's and the base object's
        "foo::S::m(char*)": ["foo::S::m(char const*) const"],
        "foo::S::operator+(long)": ["foo::S::operator+(int)"],
        "int foo::tt<int>(int, long)": ["int foo::tt<int>(int, int)"],
        "operator-(foo::S&, long)": ["operator-(foo::S&, int)"],
    }


def test_spelling() -> None:
    assert near_names("strlem", ["strlen", "printf", "strcmp"])[0] == "strlen"
    assert near_names("CosF", ["cosf", "sinf"]) == ("cosf",)
    assert near_names("zzz", ["strlen"]) == ()


def test_another_version_is_named_first(cc: Compiler, tmp_path: Path) -> None:
    (tmp_path / "map").write_text("V2 { global: f; };")
    cc.shared("int f(void){ return 1; }", name="libv.so", flags=[f"-Wl,--version-script={tmp_path}/map"])
    user = cc.shared("int f(void); int g(void){ return f(); }", name="libuser.so",
                     flags=[f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lv"])  # fmt: skip
    (tmp_path / "map").write_text("V3 { global: f; };")
    cc.shared("int f(void){ return 1; }", name="libv.so", flags=[f"-Wl,--version-script={tmp_path}/map"])
    made = plan(user)
    (lost,) = made.unresolved
    near = near_misses(lost.symbol, lost.version, [o.elf for o in made.objects])
    assert near[0].symbol == "f@@V3"
    assert near[0].why == "has version V3, V2 is wanted"


def test_the_same_cxx_function_with_other_parameters(cc: Compiler) -> None:
    library = cc.shared("int _ZN3foo3addEll(void){ return 1; } int _ZN3foo3subEii(void){ return 1; }", name="libcxx.so")
    user = cc.shared("int _ZN3foo3addEii(void); int g(void){ return _ZN3foo3addEii(); }", name="libuser.so",
                     flags=["-Wl,--no-as-needed", str(library)])  # fmt: skip
    made = plan(user)
    (lost,) = made.unresolved
    near = near_misses(lost.symbol, lost.version, [o.elf for o in made.objects])
    assert [(n.symbol, n.why) for n in near] == [("_ZN3foo3addEll", "is the same function with other parameters")]
