"""Reloads in which the new code takes over the state of an older schema."""

from __future__ import annotations

from typing import Any

import pytest

from latebind import Host, PluginError
from latebind.testing import everything_allowed
from support.plugins import COUNTER, MANIFEST, Counter, PluginFolder, Words

MIGRATES = r"""
#undef RESTORE
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    struct { int64_t sum, calls; } now;
    if (schema == 1 && state.size == sizeof now.sum) {  /* the first schema had the sum alone */
        now.sum = *(const int64_t *)(const void *)state.data;
        now.calls = -1;
    } else {
        return lb_fail(ctx, "schema %u is not known", (unsigned)schema);
    }
    sum = now.sum * 100;
    return LB_OK;
}
"""


def test_a_native_plugin_takes_over_the_state_of_an_older_schema(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    source = COUNTER.replace("*schema = 1;", "*schema = 2;") + MIGRATES
    changes: dict[str, Any] = {**MANIFEST, "version": "2.0.0", "state": {"schema": 2}}
    plugins.add("test.counter", source, flags=("-DNO_RESTORE", '-DVERSION="2.0.0"'), **changes)
    host.reload("test.counter")
    assert counter.add(1) == 501
    with pytest.raises(PluginError, match="schema 2 is not known"):
        host.reload("test.counter")  # this build cannot read what it writes itself
    assert counter.add(1) == 502


def test_a_python_plugin_takes_over_the_state_of_an_older_schema(plugins: PluginFolder) -> None:
    code = """
class Plugin:
    def __init__(self, context): self.known = {{}}
    def find(self, word):
        self.known[word] = self.known.get(word, 0) + 1
        return [f"{{w}}:{{n}}" for w, n in sorted(self.known.items())]
    def lb_save(self): return {save}
    def lb_restore(self, schema, state):
        {restore}
"""
    provides = [{"contract": "test.words", "version": "1.0.0"}]
    first = code.format(save="','.join(sorted(self.known)).encode()", restore="pass")
    plugins.python("p.a", first, provides=provides, state={"schema": 1})
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.a")
        words = host.get(Words)
        words.find("b")
        second = code.format(
            save="__import__('json').dumps(self.known).encode()",
            restore=(
                "import json\n"
                "        self.known = {w: 10 for w in state.decode().split(',')} if schema == 1 else json.loads(state)"
            ),
        )
        plugins.python("p.a", second, provides=provides, state={"schema": 2}, version="2.0.0")
        host.reload("p.a")
        assert words.find("a") == ["a:1", "b:10"]
        host.reload("p.a")
        assert words.find("a") == ["a:2", "b:10"]
