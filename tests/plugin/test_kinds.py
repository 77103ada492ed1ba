"""Kinds of plugins: native, Python, one of the host's own, and the one that is still to come."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Host, LifecycleError, PluginError, Unsupported
from latebind.plugin import Making, Staged
from latebind.plugin.kinds import kind_of
from latebind.plugin.manifest import manifest_from
from latebind.plugin.pykind import PythonGeneration
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.plugin import Manifest
    from latebind.plugin.generation import Generation
    from latebind.plugin.store import Store
    from latebind.sandbox import Policy

COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]


class Table:
    """What a text file of Python literals says, as a plugin."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.sum = values, 0

    def add(self, amount: int) -> int:
        self.sum += amount * int(self.values["factor"])
        return self.sum

    def name(self) -> str:
        return str(self.values["name"])


class TableGeneration(PythonGeneration):
    def load(self, folder: str) -> Callable[..., object]:
        with open(folder, encoding="utf-8") as file:
            values = ast.literal_eval(file.read())
        return lambda: Table(values)


class TableKind:
    name = "table"

    def claims(self, entry: str) -> bool:
        return entry.endswith(".table")

    def stage(self, manifest: Manifest, policy: Policy, store: Store) -> Staged:
        assert policy.inline
        return Staged(store.put_file(manifest.entry_path), None)

    def make(self, making: Making) -> Generation:
        made = TableGeneration(making.manifest, making.number, making.config)
        cls = made.load(making.staged.stored.path)
        making.loaded()
        made.start(cls, making.around.services, making.around.contracts)
        return made


def write_table(plugins: PluginFolder, factor: int) -> None:
    folder = plugins.root / "test.table"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.json").write_text(
        '{"id": "test.table", "version": "1.0.0", "entry": "a.table",'
        ' "provides": [{"contract": "test.counter", "version": "1.1.0"}]}'
    )
    (folder / "a.table").write_text(repr({"name": "table", "factor": factor}))


@pytest.mark.parametrize(
    ("entry", "kind"), [("x.so", "native"), ("plugin", "native"), ("a.b:C", "python"), ("x.wasm", "wasm")]
)
def test_the_entry_tells_the_kind(entry: str, kind: str) -> None:
    assert kind_of(manifest_from({"id": "a.b", "version": "1.0.0", "entry": entry}, "/p/plugin.yaml")).name == kind


def test_a_wasm_plugin_says_that_it_is_not_run_yet_and_hides_no_other(plugins: PluginFolder) -> None:
    plugins.python("test.wasm", "", entry="x.wasm", provides=COUNTS, priority=9)
    plugins.counter()
    with Host(everything_allowed(), {Logger: Recorder(Logger)}, contracts=[Counter]) as host:
        host.discover(plugins.root)
        done = host.activate()
        assert [m.id for m in done.loaded] == ["test.counter"]
        assert isinstance(done.left_out["test.wasm"], Unsupported)
        assert "x.wasm is WebAssembly, which this version does not run" in str(done.left_out["test.wasm"])


def test_a_kind_of_the_hosts_own_is_called_and_reloaded_like_the_others(plugins: PluginFolder) -> None:
    write_table(plugins, 2)
    with Host(everything_allowed(), contracts=[Counter], kinds=[TableKind()]) as host:
        host.discover(plugins.root)
        host.load("test.table")
        counter = host.get(Counter)
        assert (counter.name(), counter.add(4)) == ("table", 8)
        write_table(plugins, 3)
        host.reload("test.table")
        assert counter.add(4) == 12
        with pytest.raises(Unsupported, match="of the kind table cannot be tried out in a process of its own"):
            host.reload("test.table", probation=True)
        host.unload("test.table")
        with pytest.raises(LifecycleError):
            counter.name()


def test_native_and_python_plugins_provide_one_contract_side_by_side(plugins: PluginFolder) -> None:
    plugins.counter()
    source = "class Plugin:\n    def add(self, amount): return amount\n    def name(self): return 'python'\n"
    plugins.python("test.python", source, provides=COUNTS)
    with Host(everything_allowed(), {Logger: Recorder(Logger)}, activation="lazy") as host:
        host.discover(plugins.root)
        assert [c.name() for c in host.all(Counter)] == ["first", "python"]
        with pytest.raises(PluginError, match="is negative"):
            host.get(Counter, plugin="test.counter").add(-1)
