"""Where needed objects are found and why: the rules of ld.so(8), each beside the answer of the machine's own ld.so."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.elf import read
from latebind.linkplan import LinkPlan, make_plan
from latebind.search import Via

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

LDSO = "/lib64/ld-linux-x86-64.so.2"


def planned(path: Path | str, **variables: str) -> LinkPlan:
    return make_plan(read(path), variables=variables)


def oracle(path: Path | str, **variables: str) -> list[str]:
    """The real paths that ld.so lists, in its order (as ldd asks it: `--list` stops at a missing object)."""
    traced = {**variables, "LD_TRACE_LOADED_OBJECTS": "1"}
    run = subprocess.run([LDSO, path], capture_output=True, text=True, check=False, env=traced)
    rows = re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", run.stdout, re.MULTILINE)
    return [os.path.realpath(row) for row in rows]


def ours(plan: LinkPlan) -> list[str]:
    return [os.path.realpath(o.path) for o in plan.objects[1:]]


def via(plan: LinkPlan, name: str) -> Via:
    return next(o.via for o in plan.objects if o.name == name)


@pytest.mark.parametrize("path", ["/bin/ls", "/bin/bash", "/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libxml2.so.2"])
def test_the_closure_is_ld_sos_in_its_order(path: str) -> None:
    assert ours(planned(path)) == oracle(path)


def test_the_cache_finds_the_c_library_and_the_interpreter_is_named() -> None:
    plan = planned("/bin/ls")
    assert via(plan, "libc.so.6") is Via.CACHE
    assert via(plan, "ld-linux-x86-64.so.2") is Via.INTERP
    linker = next(o for o in plan.objects if o.name == "ld-linux-x86-64.so.2")
    assert "libc.so.6" in [plan.objects[i].name for i in linker.needed_by]


def test_runpath_rpath_and_origin(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int one(void){return 1;}", name="sub/libone.so")
    for tags, rule in (("--disable-new-dtags", Via.RPATH), ("--enable-new-dtags", Via.RUNPATH)):
        flags = [f"-L{tmp_path}/sub", f"-Wl,{tags}", "-Wl,-rpath,$ORIGIN/sub", "-lone"]
        user = cc.shared("int one(void); int g(void){return one();}", name="libuser.so", flags=flags)
        plan = planned(user)
        assert (via(plan, "libone.so"), ours(plan)) == (rule, oracle(user))
        assert "$ORIGIN/sub" in plan.objects[1].why


def test_the_path_variable_comes_before_runpath_and_after_rpath(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int one(void){return 1;}", name="sub/libone.so")
    cc.shared("int one(void){return 2;}", name="other/libone.so")
    variables = {"LD_LIBRARY_PATH": f"{tmp_path}/other"}
    for tags, rule in (("--disable-new-dtags", Via.RPATH), ("--enable-new-dtags", Via.ENV)):
        flags = [f"-L{tmp_path}/sub", f"-Wl,{tags}", f"-Wl,-rpath,{tmp_path}/sub", "-lone"]
        user = cc.shared("int one(void); int g(void){return one();}", name="libuser.so", flags=flags)
        plan = planned(user, **variables)
        assert (via(plan, "libone.so"), ours(plan)) == (rule, oracle(user, **variables))


def test_rpath_is_inherited_and_runpath_is_not(cc: Compiler, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    cc.shared("int one(void){return 1;}", name="sub/libone.so")
    cc.shared("int one(void); int two(void){return one();}", name="sub/libtwo.so", flags=[f"-L{folder}", "-lone"])
    for tags, missing in (("--disable-new-dtags", []), ("--enable-new-dtags", ["libone.so"])):
        flags = [f"-L{folder}", f"-Wl,-rpath-link,{folder}", f"-Wl,{tags}", f"-Wl,-rpath,{folder}", "-ltwo"]
        user = cc.shared("int two(void); int g(void){return two();}", name="libuser.so", flags=flags)
        plan = planned(user)
        assert [m.name for m in plan.missing] == missing
        assert ours(plan) == oracle(user)


def test_a_missing_object_lists_each_place_and_why_it_was_rejected(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int one(void){return 1;}", name="build/libone.so")
    flags = [f"-L{tmp_path}/build", f"-Wl,-rpath,{tmp_path}/a:{tmp_path}/b:{tmp_path}/c", "-lone"]
    user = cc.shared("int one(void); int g(void){return one();}", name="libuser.so", flags=flags)
    for folder in "bc":
        (tmp_path / folder).mkdir()
    (tmp_path / "b" / "libone.so").write_text("GROUP ( libreal.so )")
    data = bytearray(read(user).data)
    data[18:20] = (183).to_bytes(2, "little")
    (tmp_path / "c" / "libone.so").write_bytes(data)
    (missing,) = planned(user).missing
    why = {t.path: t.why for t in missing.tried}
    assert missing.name == "libone.so"
    assert why[f"{tmp_path}/a/libone.so"] == "no such file"
    assert "linker script" in why[f"{tmp_path}/b/libone.so"]
    assert "wrong machine: AArch64" in why[f"{tmp_path}/c/libone.so"]
    assert why["/etc/ld.so.cache"] == "has no entry for it"
    assert why["/usr/lib/libone.so"] == "no such file"


def test_one_file_under_two_names_is_one_object(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int one(void){return 1;}", name="libone.so")
    (tmp_path / "libalias.so").symlink_to("libone.so")
    paths = [f"{tmp_path}/libone.so", f"{tmp_path}/libalias.so"]
    user = cc.shared("int g(void){return 1;}", name="libuser.so", flags=["-Wl,--no-as-needed", *paths])
    plan = planned(user)
    assert len([o for o in plan.objects if os.path.basename(o.path) in {"libone.so", "libalias.so"}]) == 1
    assert ours(plan) == oracle(user)


def test_a_soname_answers_for_a_file_of_another_name(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int one(void){return 1;}", name="libreal.so", flags=["-Wl,-soname,libone.so.1"])
    cc.shared("int one(void); int two(void){return one();}", name="libtwo.so",
              flags=[f"-L{tmp_path}", "-lreal"])  # fmt: skip
    flags = [f"-L{tmp_path}", f"-Wl,-rpath-link,{tmp_path}", "-Wl,--no-as-needed", f"{tmp_path}/libtwo.so"]
    user = cc.shared("int g(void){return 1;}", name="libuser.so", flags=[*flags, f"-Wl,-rpath,{tmp_path}"])
    data = {m.name for m in planned(user).missing}
    assert data == {"libone.so.1"}  # the soname is what is searched, and no file has it
    (tmp_path / "libone.so.1").symlink_to("libreal.so")
    plan = planned(user, LD_LIBRARY_PATH=str(tmp_path))
    assert ours(plan) == oracle(user, LD_LIBRARY_PATH=str(tmp_path))


def test_constructors_are_ordered_as_glibc_runs_them_even_in_a_cycle(cc: Compiler, tmp_path: Path) -> None:
    def says(name: str) -> str:
        return f'#include <stdio.h>\n__attribute__((constructor)) static void f(void){{ puts("{name}"); }}'

    link = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-Wl,--no-as-needed"]
    cc.shared(says("leaf"), name="libleaf.so")
    cc.shared(says("b"), name="libb.so")
    cc.shared(says("a"), name="liba.so", flags=[*link, "-lb", "-lleaf"])
    cc.shared(says("b"), name="libb.so", flags=[*link, "-la"])
    cc.shared(says("c"), name="libc2.so", flags=[*link, "-lleaf"])
    program = cc.program("int main(void){ return 0; }", flags=[*link, "-la", "-lc2"])
    ran = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    plan = planned(program)
    letters = {"liba.so": "a", "libb.so": "b", "libc2.so": "c", "libleaf.so": "leaf"}
    names = [letters.get(plan.objects[i].name) for i in plan.init_order]
    assert [n for n in names if n] == ran
    assert sorted(ran) == ["a", "b", "c", "leaf"]


def test_the_origin_of_a_library_is_the_folder_that_it_was_found_in(cc: Compiler, tmp_path: Path) -> None:
    """A library behind a symbolic link looks beside the link; only a program is known by its real path."""
    cc.shared("int one(void){return 1;}", name="links/libone.so")
    flags = [f"-L{tmp_path}/links", "-Wl,-rpath,$ORIGIN", "-lone", "-Wl,--no-as-needed"]
    cc.shared("int two(void){return 2;}", name="real/libtwo.so", flags=[*flags, "-Wl,--no-as-needed", "-lone"])
    (tmp_path / "links" / "libtwo.so").symlink_to(tmp_path / "real" / "libtwo.so")
    flags = [f"-L{tmp_path}/links", f"-Wl,-rpath,{tmp_path}/links", "-Wl,--no-as-needed", "-ltwo"]
    flags.append("-Wl,--allow-shlib-undefined")
    program = cc.program("int main(void){return 0;}", name="program", flags=flags)
    plan = planned(program)
    assert ours(plan) == oracle(program)
    assert [m.name for m in plan.missing] == []


def test_a_name_that_one_object_does_not_find_another_may(cc: Compiler, tmp_path: Path) -> None:
    """Each object looks along its own RUNPATH: a name is missing for one and found by the next."""
    cc.shared("int one(void){return 1;}", name="sub/libone.so")
    needs = [f"-L{tmp_path}/sub", "-Wl,--no-as-needed", "-Wl,--enable-new-dtags"]
    cc.shared("int two(void){return 2;}", name="libtwo.so", flags=[*needs, "-Wl,-rpath,$ORIGIN/sub", "-lone"])
    path = cc.shared("int top(void){return 3;}", name="libtop.so",
                     flags=[*needs, f"-L{tmp_path}", "-Wl,-rpath,$ORIGIN", "-lone", "-ltwo"])  # fmt: skip
    plan = planned(path)
    assert ours(plan) == oracle(path)
    assert [(m.name, m.needed_by) for m in plan.missing] == [("libone.so", (0,))]
    assert any(o.name == "libone.so" for o in plan.objects)
