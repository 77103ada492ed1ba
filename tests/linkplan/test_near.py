"""Near misses: another version, other parameters, another spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind import plan
from latebind.linkplan.near import near_misses, near_names, qualified_name

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_Z3addii", "add"),
        ("_ZN3foo3barEi", "foo::bar"),
        ("_ZNK3foo3barEv", "foo::bar"),
        ("_ZN3foo99barE", None),
        ("_ZN3foo", None),
        ("malloc", None),
        ("_Z", None),
        ("_ZplRK1AS1_", None),
    ],
)
def test_the_qualified_name_of_a_mangled_one(mangled: str, name: str | None) -> None:
    assert qualified_name(mangled) == name


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
