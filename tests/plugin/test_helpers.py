"""Libraries beside a plugin's entry: copied with it, found by $ORIGIN from the copy, and reloaded with it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind import CapabilityDenied, Host
from latebind.testing import everything_allowed
from support import needs
from support.plugins import COUNTER, MANIFEST, Counter, PluginFolder, mapped

if TYPE_CHECKING:
    from pathlib import Path

HELPER = "int helper(void); int helper(void) { return %d; }"
USES = COUNTER.replace("*result = sum += amount;", "*result = (sum += amount) + HELP;") + "\n"
LINKED = "int helper(void);\n#define HELP helper()\n" + USES
OPENED = (
    "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <string.h>\n"
    "static int help(void)\n{\n"
    '    void *library = dlopen("libhelper.so", RTLD_NOW);\n'
    "    int (*helper)(void);\n"
    '    void *symbol = library ? dlsym(library, "helper") : 0;\n'
    "    memcpy(&helper, &symbol, sizeof helper);\n"
    "    return symbol ? helper() : -1000;\n"
    "}\n#define HELP help()\n" + USES
)


def build_helper(path: Path, answer: int, source: str = HELPER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = source % answer if "%d" in source else source
    command = [needs.program("cc", "gcc libc6-dev"), "-shared", "-fPIC", "-xc", "-", "-o", f"{path}.new"]
    subprocess.run([*command, f"-Wl,-soname,{path.name}"], input=text, text=True, check=True)
    path.with_name(path.name + ".new").rename(path)


@pytest.fixture
def folder(plugins: PluginFolder) -> Path:
    made = plugins.root / "test.counter"
    made.mkdir(parents=True)
    return made


def load(host: Host, plugins: PluginFolder) -> Counter:
    host.discover(plugins.root)
    host.load("test.counter")
    return host.get(Counter)


@pytest.mark.parametrize(("where", "runpath"), [("lib", "$ORIGIN/lib"), ("lib", "${ORIGIN}/lib"), (".", "")])
def test_a_helper_is_loaded_from_its_copy(
    host: Host, plugins: PluginFolder, folder: Path, where: str, runpath: str
) -> None:
    helper = folder / where / "libhelper.so"
    build_helper(helper, 100)
    flags = (f"-L{helper.parent}", "-lhelper", *([f"-Wl,-rpath,{runpath}"] if runpath else []))
    plugins.add("test.counter", LINKED, flags=flags, **MANIFEST)
    counter = load(host, plugins)
    assert counter.add(5) == 105
    assert len(mapped("libhelper.so")) == 1
    assert not any(path.startswith(str(plugins.root)) for path in mapped("libhelper.so"))
    with open(helper, "r+b") as file:  # as a linker does that writes in place
        file.write(b"\xcc" * 4096)
    assert counter.add(0) == 105
    build_helper(helper, 200)
    host.reload("test.counter")
    assert counter.add(0) == 205, "with the state, and the new helper"
    assert len(mapped("libhelper.so")) == 1


def test_a_helper_that_is_opened_at_run_time_is_found_beside_the_copy(
    host: Host, plugins: PluginFolder, folder: Path
) -> None:
    build_helper(folder / "libhelper.so", 100)
    plugins.add("test.counter", OPENED, flags=("-Wl,-rpath,$ORIGIN",), capabilities=["code:load"], **MANIFEST)
    counter = load(host, plugins)
    assert counter.add(5) == 105
    assert not any(path.startswith(str(plugins.root)) for path in mapped("libhelper.so"))


def test_a_helper_outside_the_plugins_folder_is_still_found(host: Host, plugins: PluginFolder, folder: Path) -> None:
    shared = plugins.root.parent / "shared"
    build_helper(shared / "libhelper.so", 100)
    flags = (f"-L{shared}", "-lhelper", "-Wl,-rpath,$ORIGIN/../../shared")
    plugins.add("test.counter", LINKED, flags=flags, **MANIFEST)
    assert load(host, plugins).add(5) == 105
    assert mapped("libhelper.so") == {str(shared / "libhelper.so")}
    assert folder.is_dir()


def test_what_a_helpers_imports_imply_must_be_declared(host: Host, plugins: PluginFolder, folder: Path) -> None:
    source = '#include <stdlib.h>\nint helper(void); int helper(void) { return system("true"); }'
    build_helper(folder / "lib" / "libhelper.so", 0, source)
    flags = (f"-L{folder}/lib", "-lhelper", "-Wl,-rpath,$ORIGIN/lib")
    plugins.add("test.counter", LINKED, flags=flags, **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(CapabilityDenied, match="import of system"):
        host.load("test.counter")


def test_an_entry_in_a_subfolder_finds_its_helpers_above(host: Host, plugins: PluginFolder, folder: Path) -> None:
    build_helper(folder / "lib" / "libhelper.so", 100)
    flags = (f"-L{folder}/lib", "-lhelper", "-Wl,-rpath,$ORIGIN/../lib")
    plugins.add("test.counter", LINKED, flags=flags, **MANIFEST)
    (folder / "bin").mkdir()
    (folder / "plugin.so").rename(folder / "bin" / "plugin.so")
    manifest = folder / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("entry: plugin.so", "entry: bin/plugin.so"))
    assert load(host, plugins).add(5) == 105


def test_two_plugins_in_one_store_keep_their_own_helpers_of_one_name(tmp_path: Path) -> None:
    hosts = []
    for answer in (100, 200):
        root = PluginFolder(tmp_path / str(answer))
        build_helper(root.root / "test.counter" / "libhelper.so", answer)
        flags = (f"-L{root.root}/test.counter", "-lhelper")
        source = LINKED.replace('"host_logger.h"', '"test_counter.h"')
        root.add("test.counter", source, flags=flags, **MANIFEST)
        hosts.append((Host(everything_allowed(), contracts=[Counter], store=tmp_path / "store"), root))
    try:
        assert [load(host, root).add(5) for host, root in hosts] == [105, 205]
    finally:
        for host, _ in hosts:
            host.close()
