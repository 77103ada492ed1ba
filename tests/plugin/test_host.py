"""The host: loading, what is refused before any instruction runs, proxies, unloading."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import (
    CapabilityDenied,
    ContractError,
    Host,
    LatebindError,
    LifecycleError,
    MalformedElf,
    ManifestError,
    NotFound,
    NotProvided,
    PluginError,
    Policy,
    UnresolvedSymbol,
    Unsupported,
    VersionConflict,
    contract,
)
from latebind.testing import Recorder, everything_allowed
from support.plugins import COUNTER, MANIFEST, Counter, Logger, PluginFolder, mapped

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_load_get_call_unload(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    status = host.load("test.counter")
    assert (status.id, status.loaded, status.generation) == ("test.counter", True, 1)
    counter = host.get(Counter)
    assert counter.add(2) == 2
    assert counter.add(amount=3) == 5
    assert counter.name() == "first"
    assert mapped()
    assert host.unload("test.counter") == ()
    assert not mapped()
    with pytest.raises(LifecycleError, match=r"cannot call test\.counter\.add: it is not loaded"):
        counter.add(1)


def test_a_proxy_checks_its_arguments_like_a_python_function(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    counter: Any = host.get(Counter)
    for arguments, named in (((), {}), ((1, 2), {}), ((), {"amunt": 1}), ((1,), {"amount": 1})):
        with pytest.raises(TypeError, match=r"^test\.counter\.add\(\): "):
            counter.add(*arguments, **named)
    with pytest.raises(TypeError, match=r"test\.counter\.add\(\), parameter amount: expected int, not str"):
        counter.add("1")
    with pytest.raises(AttributeError):
        counter.nonsense()
    assert counter.add.__doc__ == "Add, and answer the sum."
    assert repr(counter) == "<Counter of plugin test.counter 1.0.0>"


def test_a_failing_call_is_a_plugin_error_with_everything_in_it(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    with pytest.raises(PluginError) as caught:
        host.get(Counter).add(-4)
    error = caught.value
    assert (error.plugin, error.version, error.method, error.message) == (
        "test.counter", "1.0.0", "test.counter.add", "-4 is negative",
    )  # fmt: skip


def test_a_proxy_outlives_unloading_and_loading_again(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    counter = host.get(Counter)
    assert counter.add(5) == 5
    host.unload("test.counter")
    host.load("test.counter")
    assert counter.add(1) == 1, "a new start has no state"


def test_loading_twice_changes_nothing(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    first = host.load("test.counter")
    assert host.load("test.counter") == first
    with pytest.raises(LifecycleError, match="use reload"):
        host.load("test.counter", version="^2")


def test_the_newest_version_in_the_range_is_loaded(host: Host, plugins: PluginFolder) -> None:
    for version in ("1.0.0", "1.5.0", "2.0.0"):
        folder = plugins.counter(f'-DVERSION="{version}"', version=version)
        folder.rename(plugins.root / version)
    host.discover(plugins.root)
    assert str(host.load("test.counter", version="^1").manifest.version) == "1.5.0"
    host.unload("test.counter")
    with pytest.raises(NotFound, match=r"is version 2\.0\.0, not \^3"):
        host.load("test.counter", version="^3")


def test_the_log_says_which_limits_nothing_enforces_inline(
    host: Host, plugins: PluginFolder, log: list[dict[str, Any]]
) -> None:
    plugins.counter(limits={"memory": "1MiB", "call_time": "1m"})
    host.discover(plugins.root)
    host.load("test.counter")
    assert (log[-1]["event"], log[-1]["isolation"], log[-1]["unenforced"]) == ("load", "inline", ["limits.memory"])


def test_plugins_lists_what_is_known_and_what_runs(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    plugins.python("test.idle", "class Plugin: ...")
    host.discover(plugins.root)
    host.load("test.counter")
    assert [(s.id, s.loaded, s.generation) for s in host.plugins()] == [
        ("test.counter", True, 1),
        ("test.idle", False, 0),
    ]


def test_what_is_not_there_is_not_found_and_the_rejected_ones_are_named(host: Host, plugins: PluginFolder) -> None:
    folder = plugins.python("test.broken", "")
    (folder / "plugin.yaml").write_text("id: test.broken\n")
    host.discover(plugins.root)
    with pytest.raises(NotFound, match=r"plugin test\.broken: not found\n.*was left out: .*version: is missing"):
        host.load("test.broken")
    with pytest.raises(NotFound, match=r"a loaded plugin that provides test\.counter"):
        host.get(Counter)
    plugins.counter()
    host.discover(plugins.root)
    with pytest.raises(NotFound, match=r"is not loaded; host\.load\('test\.counter'\)"):
        host.get(Counter)


def test_leaving_the_host_unloads_everything_and_removes_the_store(plugins: PluginFolder) -> None:
    plugins.counter()
    before = descriptors()
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.counter")
        store = host._store.root
        assert os.path.isdir(store)
    assert not mapped()
    assert not os.path.exists(store)
    assert descriptors() == before
    host.close()


# What is refused before any instruction runs. Each plugin here would show that it ran: its constructor writes a file.

RUNS = r"""
#include <stdio.h>
__attribute__((constructor)) static void began(void) { FILE *f = fopen(MARK, "w"); if (f) fclose(f); }
"""


@pytest.mark.parametrize(
    ("flags", "changes", "error", "what"),
    [
        (["-DNO_NOTE"], {}, ContractError, "has no plugin note; add LATEBIND_PLUGIN"),
        (
            [],
            {"version": "1.0.1"},
            ContractError,
            r"was compiled as test\.counter 1\.0\.0, its manifest says test\.counter 1\.0\.1",
        ),
        (
            [],
            {"provides": [{"contract": "test.counter", "version": "1.0.0"}]},
            ContractError,
            "was compiled against 1.1.0",
        ),
        ([], {"provides": [{"contract": "test.other", "version": "1.0.0"}]}, ContractError, "no note that provides it"),
        (["-DNO_ADD"], {}, ContractError, "does not export test_counter_add"),
        ([], {"sha256": "0" * 64}, ContractError, "has the SHA-256"),
        ([], {"entry": "nothing.so"}, NotFound, r"nothing\.so"),
        (
            [],
            {"requires": [{"contract": "no.such"}]},
            NotFound,
            r"no\.such: not found, needed by test\.counter 1\.0\.0",
        ),
        (
            [],
            {"requires": [{"contract": "host.logger", "version": "^2"}]},
            VersionConflict,
            "the host's service has version 1.0.0",
        ),
        (
            ["-DMARK=0"],
            {"capabilities": []},
            CapabilityDenied,
            "'filesystem'.*import of fopen.*not declared in its manifest",
        ),
    ],
)
def test_a_plugin_that_lies_is_refused_before_it_runs(
    host: Host,
    plugins: PluginFolder,
    tmp_path: Path,
    flags: list[str],
    changes: dict[str, Any],
    error: type[LatebindError],
    what: str,
) -> None:
    mark = tmp_path / "ran"
    document = {**MANIFEST, "capabilities": ["filesystem"], **changes}
    flags = [f'-DMARK="{mark}"', *(f for f in flags if f != "-DMARK=0")]
    plugins.add("test.counter", COUNTER + RUNS, flags=tuple(flags), **document)
    host.discover(plugins.root)
    before = descriptors()
    with pytest.raises(error, match=re.compile(what, re.DOTALL)):
        host.load("test.counter")
    assert not mark.exists()
    assert not mapped()
    assert descriptors() == before
    assert not host.plugins()[0].loaded


def test_the_same_plugin_runs_when_it_tells_the_truth(host: Host, plugins: PluginFolder, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    document = {**MANIFEST, "capabilities": ["filesystem"]}
    plugins.add("test.counter", COUNTER + RUNS, flags=(f'-DMARK="{mark}"',), **document)
    host.discover(plugins.root)
    host.load("test.counter")
    assert mark.exists()


def test_a_denial_names_symbol_and_capability_and_is_logged(
    plugins: PluginFolder, host: Host, log: list[dict[str, Any]]
) -> None:
    source = COUNTER + "#include <sys/socket.h>\nint dial(void);\nint dial(void) { return connect(3, 0, 0); }\n"
    plugins.add("test.counter", source, **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(CapabilityDenied) as caught:
        host.load("test.counter")
    assert (caught.value.plugin, caught.value.capability, caught.value.symbols) == (
        "test.counter",
        "network:connect",
        ("connect",),
    )
    assert log[-1]["event"] == "denied"
    assert "import of connect" in log[-1]["error"]


def test_a_library_in_the_plugins_folder_counts_as_the_plugin(plugins: PluginFolder, host: Host, cc: Compiler) -> None:
    folder = plugins.counter()
    helper = cc.shared(
        '#include <stdlib.h>\nint run(void); int run(void) { return system("true"); }', name="libhelper.so"
    )
    shutil.copy(helper, folder / "libhelper.so")
    source = COUNTER + "int run(void); int go(void); int go(void) { return run(); }\n"
    plugins.add("test.counter", source, flags=(f"-L{folder}", "-lhelper"), **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(CapabilityDenied, match=r"'process:execute' \(implied by its import of system\)"):
        host.load("test.counter")


def test_a_plugin_that_is_not_signed_off_is_not_loaded(plugins: PluginFolder) -> None:
    plugins.counter()
    with Host() as host:
        host.discover(plugins.root)
        with pytest.raises(Unsupported, match="isolation in a process of its own"):
            host.load("test.counter")


def test_a_strict_policy_wants_a_checksum(plugins: PluginFolder) -> None:
    folder = plugins.counter()
    with Host(Policy(inline=["*"], require_sha256=True)) as host:
        host.discover(plugins.root)
        with pytest.raises(ContractError, match="no sha256"):
            host.load("test.counter")
        import hashlib

        digest = hashlib.sha256((folder / "plugin.so").read_bytes()).hexdigest()
        with open(folder / "plugin.yaml", "a") as manifest:
            manifest.write(f"sha256: {digest}\n")
        host.discover(plugins.root)
        assert host.load("test.counter").loaded


@pytest.mark.parametrize("keep", [0, 10, 63, 200, 2000, -100])
def test_a_truncated_file_is_refused_and_leaves_nothing(host: Host, plugins: PluginFolder, keep: int) -> None:
    folder = plugins.counter()
    whole = (folder / "plugin.so").read_bytes()
    (folder / "plugin.so").write_bytes(whole[:keep])
    host.discover(plugins.root)
    before = descriptors()
    if keep == -100:  # only the section headers are cut off, which nobody needs to load a file
        assert host.load("test.counter").loaded
        return
    with pytest.raises((MalformedElf, ContractError, Unsupported)):
        host.load("test.counter")
    assert not mapped()
    assert descriptors() == before


def test_a_file_of_another_machine_is_refused(host: Host, plugins: PluginFolder) -> None:
    folder = plugins.counter()
    data = bytearray((folder / "plugin.so").read_bytes())
    data[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    (folder / "plugin.so").write_bytes(data)
    host.discover(plugins.root)
    with pytest.raises(LatebindError):
        host.load("test.counter")


def test_an_unresolved_symbol_is_named(host: Host, plugins: PluginFolder) -> None:
    source = COUNTER + "int missing_helper(void); int go(void); int go(void) { return missing_helper(); }\n"
    plugins.add("test.counter", source, **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(UnresolvedSymbol, match="missing_helper"):
        host.load("test.counter")


def test_an_init_that_fails_leaves_nothing(host: Host, plugins: PluginFolder, log: list[dict[str, Any]]) -> None:
    plugins.counter('-DINIT=lb_fail(ctx,"no %s","disk")')
    host.discover(plugins.root)
    with pytest.raises(PluginError, match="lb_init: no disk"):
        host.load("test.counter")
    assert not mapped()
    assert not host.plugins()[0].loaded
    assert log[-1]["event"] == "refused"


def test_a_fini_that_fails_is_told_and_the_plugin_goes(host: Host, plugins: PluginFolder) -> None:
    plugins.counter('-DFINI=lb_fail(ctx,"still busy")')
    host.discover(plugins.root)
    host.load("test.counter")
    problems = host.unload("test.counter")
    assert [str(p) for p in problems] == ["plugin test.counter 1.0.0, lb_fini: still busy"]
    assert not mapped()


# Versions of contracts.


def build_against(version: str, methods: tuple[str, ...]) -> tuple[object, str]:
    """A contract class `test.evolving` and a plugin for it, with methods that answer their own position."""
    names: dict[str, Any] = {"Protocol": Protocol, "contract": contract}
    body = "".join(f"    def {m}(self) -> int: ...\n" for m in methods)
    exec(f"@contract('test.evolving', version='{version}')\nclass Evolving(Protocol):\n{body}", names)  # noqa: S102 - our text
    source = '#include "test_evolving.h"\nLATEBIND_PLUGIN("test.evolves", "1.0.0")\nLATEBIND_PROVIDES(test_evolving)\n'
    for at, method in enumerate(methods):
        source += (
            f"lb_status test_evolving_{method}(lb_context *ctx, int64_t *r) {{ (void)ctx; *r = {at}; return LB_OK; }}\n"
        )
    return names["Evolving"], source


@pytest.mark.parametrize(
    ("host_version", "outcome"),
    [
        ("1.0.0", "needs a newer contract"),
        ("1.1.0", ""),
        ("1.1.7", ""),
        ("1.2.0", ""),
        ("2.0.0", "break with each other"),
    ],
)
def test_a_plugin_built_against_1_1_under_other_hosts(plugins: PluginFolder, host_version: str, outcome: str) -> None:
    cls, source = build_against("1.1.0", ("one", "two"))
    plugins.add("test.evolves", source, contracts=(cls,), provides=[{"contract": "test.evolving", "version": "1.1.0"}])
    methods = {"1.0.0": ("one",), "1.2.0": ("one", "two", "three")}.get(host_version, ("one", "two"))
    wanted: Any = build_against(host_version, methods)[0]
    with Host(everything_allowed(), contracts=[wanted]) as host:
        host.discover(plugins.root)
        if outcome:
            with pytest.raises(VersionConflict, match=outcome):
                host.load("test.evolves")
            return
        host.load("test.evolves")
        proxy: Any = host.get(wanted)
        assert proxy.two() == 1
        if "three" in methods:
            with pytest.raises(NotProvided, match=r"test\.evolving\.three"):
                proxy.three()


def test_a_contract_that_the_host_did_not_announce_is_checked_when_it_is_got(plugins: PluginFolder) -> None:
    cls, source = build_against("1.1.0", ("one", "two"))
    plugins.add("test.evolves", source, contracts=(cls,), provides=[{"contract": "test.evolving", "version": "1.1.0"}])
    wanted: Any = build_against("2.0.0", ("one",))[0]
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.evolves")
        with pytest.raises(VersionConflict):
            host.get(wanted)


def test_a_default_body_stands_in_for_a_missing_method(plugins: PluginFolder) -> None:
    @contract("test.evolving", version="1.3.0")
    class Newer(Protocol):
        def one(self) -> int: ...

        def two(self) -> int: ...

        def sum(self, more: int = 10) -> int:
            return self.one() + self.two() + more

    cls, source = build_against("1.1.0", ("one", "two"))
    plugins.add("test.evolves", source, contracts=(cls,), provides=[{"contract": "test.evolving", "version": "1.1.0"}])
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.evolves")
        newer = host.get(Newer)
        assert newer.sum() == 11
        assert newer.sum(more=1) == 2


def test_other_types_under_the_same_version_are_refused(plugins: PluginFolder) -> None:
    @contract("test.evolving", version="1.1.0")
    class Other(Protocol):
        def one(self) -> float: ...

        def two(self) -> int: ...

    cls, source = build_against("1.1.0", ("one", "two"))
    plugins.add("test.evolves", source, contracts=(cls,), provides=[{"contract": "test.evolving", "version": "1.1.0"}])
    with Host(everything_allowed(), contracts=[Other]) as host:
        host.discover(plugins.root)
        with pytest.raises(ContractError, match="compiled with other types for one"):
            host.load("test.evolves")


# Configuration.


def test_the_configuration_is_checked_and_handed_to_lb_init(host: Host, plugins: PluginFolder) -> None:
    source = COUNTER.replace(
        "(void)ctx, (void)config;", 'return config.size < 100 ? lb_fail(ctx, "%s", config.data) : LB_OK;'
    )
    schema = {
        "type": "object", "required": ["size"], "additionalProperties": False,
        "properties": {"size": {"type": "integer", "minimum": 1}, "language": {"type": "string", "default": "größe"}},
    }  # fmt: skip
    plugins.add("test.counter", source, config=schema, **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(ManifestError) as caught:
        host.load("test.counter", config={"size": 0, "langauge": "de"})
    assert {p.path for p in caught.value.problems} == {"size", "langauge"}
    with pytest.raises(ManifestError, match="size: is missing"):
        host.load("test.counter")
    with pytest.raises(PluginError, match=re.escape('{"size": 3, "language": "größe"}')):
        host.load("test.counter", config={"size": 3})


def test_a_default_is_filled_with_the_defaults_within(host: Host, plugins: PluginFolder) -> None:
    source = COUNTER.replace("(void)ctx, (void)config;", 'return lb_fail(ctx, "%s", config.data);')
    server = {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}, "default": {"tls": True}}
    plugins.add("test.counter", source, config={"type": "object", "properties": {"server": server}}, **MANIFEST)
    host.discover(plugins.root)
    with pytest.raises(PluginError, match=re.escape('{"server": {"tls": true, "port": 80}}')):
        host.load("test.counter")


def test_another_configuration_needs_another_start(host: Host, plugins: PluginFolder) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
    plugins.counter(config=schema)
    host.discover(plugins.root)
    host.load("test.counter", config={"size": 1})
    assert host.load("test.counter", config={}).loaded, "the default is the same configuration"
    with pytest.raises(LifecycleError, match="another configuration"):
        host.load("test.counter", config={"size": 2})


def test_a_plugin_without_configuration_takes_none(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    with pytest.raises(ManifestError, match="colour"):
        host.load("test.counter", config={"colour": "red"})


def test_a_service_must_have_the_methods_of_its_contract() -> None:
    with pytest.raises(ContractError, match="has no method info"):
        Host(services={Logger: object()})
    with pytest.raises(TypeError, match="is not a contract"):
        Host(services={int: Recorder(Logger)})
