"""The rules beyond the usual: LD_PRELOAD, secure mode, a sysroot, and musl's own order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.elf import read
from latebind.linkplan import LinkPlan, make_plan
from latebind.search import Files, Via, fresh_closure
from latebind.search.environment import environment_for
from support import needs

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

LDSO = "/lib64/ld-linux-x86-64.so.2"
ONE = "int one(void){ return 1; }"
USER = "int one(void); int g(void){ return one(); }"


def planned(path: Path, **variables: str) -> LinkPlan:
    return make_plan(read(path), variables=variables)


def listed(path: Path, **variables: str) -> list[str]:
    env = {**variables, "LD_TRACE_LOADED_OBJECTS": "1"}
    text = subprocess.run([LDSO, path], capture_output=True, text=True, check=False, env=env).stdout
    return [os.path.realpath(p) for p in re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", text, re.MULTILINE)]


def paths(plan: LinkPlan) -> list[str]:
    return [os.path.realpath(o.path) for o in plan.objects[1:]]


def test_preloaded_objects_stand_behind_the_program_and_interpose(cc: Compiler, tmp_path: Path) -> None:
    cc.shared(ONE, name="libone.so")
    early = cc.shared("int one(void){ return 2; }", name="libearly.so")
    user = cc.shared(USER, name="libuser.so", flags=[f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lone"])
    variables = {"LD_PRELOAD": f"{early}:/no/such.so"}
    plan = planned(user, **variables)
    assert plan.objects[1].via is Via.PRELOAD
    assert paths(plan) == listed(user, **variables)
    assert plan.missing == ()  # ld.so passes over what cannot be preloaded
    (binding,) = [b for b in plan.bindings_of(0) if b.symbol == "one"]
    assert binding.target == 1
    assert plan.why(binding).startswith(f"interposed by {early}, which is preloaded")


def test_secure_mode_ignores_the_library_path_preloads_with_slashes_and_origin(cc: Compiler, tmp_path: Path) -> None:
    one = cc.shared(ONE, name="sub/libone.so")
    flags = [f"-L{tmp_path}/sub", "-Wl,-rpath,$ORIGIN/sub", "-lone"]
    user = read(cc.shared(USER, name="libuser.so", flags=flags))
    variables = {"LD_LIBRARY_PATH": f"{tmp_path}/sub", "LD_PRELOAD": str(one)}
    assert [m.name for m in make_plan(user, variables=variables).missing] == []
    files = Files()
    plan = make_plan(user, files, environment_for(user, files, variables, secure=True))
    assert [m.name for m in plan.missing] == ["libone.so"]
    assert all(str(tmp_path) not in t.path for t in plan.missing[0].tried)


def test_origin_that_leads_to_a_default_folder_is_trusted_in_secure_mode() -> None:
    ls = read("/bin/ls")
    files = Files()
    env = environment_for(ls, files, {}, secure=True)
    from latebind.search.rules import Rules

    rules = Rules(env, files)
    folder = env.system_dirs[0]
    trusted = fresh_closure(ls, files, env).objects[1]
    assert rules.substitute("$ORIGIN", trusted) in {folder, os.path.realpath(folder)}
    assert rules.substitute("$ORIGIN/../../../tmp", trusted) is None


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    """A little root: the C library and its linker, reached through absolute links as in a real image."""
    root = tmp_path / "root"
    lib = root / "usr" / "lib" / "x86_64-linux-gnu"
    lib.mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib")
    (root / "lib64").mkdir()
    shutil.copy("/lib/x86_64-linux-gnu/libc.so.6", lib / "libc.so.6")
    shutil.copy(LDSO, lib / "ld-linux-x86-64.so.2")
    (root / "lib64" / "ld-linux-x86-64.so.2").symlink_to("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    (root / "bin").mkdir()
    return root


def test_a_root_is_searched_as_if_it_were_the_machine(cc: Compiler, sysroot: Path) -> None:
    one = cc.shared(ONE, name="libone.so", flags=["-nostdlib"])
    shutil.copy(one, sysroot / "usr" / "lib" / "x86_64-linux-gnu" / "libone.so")
    program = cc.program("int one(void); int main(void){ return one(); }", flags=[str(one), "-Wl,-rpath,/nowhere"])
    shutil.copy(program, sysroot / "bin" / "program")
    data = (
        (sysroot / "bin" / "program")
        .read_bytes()
        .replace(str(one).encode() + b"\0", b"libone.so".ljust(len(str(one)) + 1, b"\0"))
    )
    (sysroot / "bin" / "program").write_bytes(data)
    files = Files(str(sysroot))
    plan = make_plan(files.elf("/bin/program"), files)
    found = {o.name: o for o in plan.objects}
    assert not plan.missing
    assert found["libone.so"].path == "/lib/x86_64-linux-gnu/libone.so"
    assert found["libone.so"].via is Via.DEFAULT  # the image has no ld.so.cache, and this machine's counts for nothing
    assert found["libc.so.6"].elf.identity is not None
    assert found["libc.so.6"].elf.identity.inode == (sysroot / "usr/lib/x86_64-linux-gnu/libc.so.6").stat().st_ino
    assert found["ld-linux-x86-64.so.2"].via is Via.INTERP
    assert plan.unresolved == ()


def test_links_of_a_root_never_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "out").symlink_to("../../../../../../etc/passwd")
    (tmp_path / "loop").symlink_to("/loop")
    files = Files(str(tmp_path))
    assert files.canonical("/etc/out") == "/etc/passwd"
    assert files.real("/etc/out") == f"{tmp_path}/etc/passwd"
    assert files.setting("/etc/out") is None
    assert files.setting("/loop") is None


def musl(tmp_path: Path, name: str, text: str, *flags: str) -> Path:
    source, out = tmp_path / f"{name}.c", tmp_path / name
    source.write_text(text)
    subprocess.run([needs.program("musl-gcc", "musl-tools"), "-o", out, source, *flags], check=True)
    return out


def test_a_musl_program_is_searched_by_musls_rules(tmp_path: Path) -> None:
    musl(tmp_path, "libdeep.so", ONE, "-shared", "-fPIC")
    middle = "int one(void); int two(void){ return one(); }"
    musl(tmp_path, "libmiddle.so", middle, "-shared", "-fPIC", f"-L{tmp_path}", "-ldeep")
    main = "int two(void); int main(void){ return two(); }"
    flags = [f"-L{tmp_path}", f"-Wl,-rpath-link,{tmp_path}", "-lmiddle", f"-Wl,-rpath,{tmp_path}"]
    program = musl(tmp_path, "program", main, *flags)
    plan = planned(program)
    # DT_RUNPATH is inherited, which glibc does not do, and libc.so is the interpreter itself
    found = {o.name: (os.path.realpath(o.path), o.via) for o in plan.objects[1:]}
    linker = read(program).interpreter
    assert linker is not None
    text = subprocess.run([linker, "--list", program], capture_output=True, text=True, check=True).stdout
    theirs = {n: os.path.realpath(p) for n, p in re.findall(r"^\t(\S+) => (\S+) \(0x", text, re.MULTILINE)}
    assert {n: p for n, (p, _) in found.items()} == theirs
    assert found["libdeep.so"][1] is Via.RUNPATH
    assert found["libc.so"][1] is Via.INTERP
    assert plan.environment.is_musl
    assert not plan.missing


def test_musls_path_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ld-musl-x86_64.path").write_text("/opt/lib\n/lib:/usr/lib\n")
    program = read(musl(tmp_path, "program", "int main(void){ return 0; }"))
    assert environment_for(program, Files(str(tmp_path))).system_dirs == ("/opt/lib", "/lib", "/usr/lib")
    assert environment_for(program, Files("/")).system_dirs == ("/lib", "/usr/local/lib", "/usr/lib") or os.path.exists(
        "/etc/ld-musl-x86_64.path"
    )


def test_the_cpus_levels_are_those_that_the_linker_searches() -> None:
    text = subprocess.run([LDSO, "--help"], capture_output=True, text=True, check=True).stdout
    theirs = re.findall(r"^  (x86-64-v\d) \(supported, searched\)$", text, re.MULTILINE)
    assert environment_for(read(LDSO), Files()).hwcaps == tuple(theirs)
