"""What `latebind plugin new` writes: the smallest plugin in C that builds, passes its check and answers a call."""

from __future__ import annotations

import os
import re
from typing import Final

from latebind.contracts import symbol_prefix
from latebind.errors import SystemFailure, Unsupported

_FILES: Final = {
    "contract.py": '''\
"""The contract between the host program and this plugin."""

from typing import Protocol

from latebind import contract


@contract("{id}", version="0.1.0")
class {name}(Protocol):
    """Says what this interface is for."""

    def greet(self, name: str) -> str:
        """A greeting for `name`."""
        ...
''',
    "plugin.yaml": """\
id: {id}
version: 0.1.0
summary: Greets
entry: {library}
provides:
  - {{contract: {id}, version: 0.1.0}}
capabilities: []
""",
    "{source}": """\
/* The plugin: one exported function for each method of the contract. `make` writes {prefix}.h from it. */
#include "{prefix}.h"

LATEBIND_PLUGIN("{id}", "0.1.0")
LATEBIND_PROVIDES({prefix})

lb_status {prefix}_greet(lb_context *ctx, lb_str name, lb_str *result)
{{
    static const char hello[] = "Hello, ";
    size_t size = sizeof hello - 1 + name.size;
    char *text = lb_alloc(ctx, size); /* lives until the host has taken the result */

    if (!text)
        return lb_fail(ctx, "no memory for %zu bytes", size);
    for (size_t i = 0; i < size; i++)
        text[i] = i < sizeof hello - 1 ? hello[i] : name.data[i - (sizeof hello - 1)];
    result->data = text;
    result->size = size;
    return LB_OK;
}}
""",
    "test_plugin.py": '''\
"""Tests of the plugin without a host program: `make test`, or `python -m pytest`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import {name}

from latebind.testing import PluginHarness


@pytest.fixture
def plugin() -> Iterator[PluginHarness]:
    """The plugin: built by its Makefile, compared with the contract, loaded."""
    with PluginHarness(Path(__file__).parent, {name}) as made:
        yield made


def test_it_greets(plugin: PluginHarness) -> None:
    assert plugin.get({name}).greet("world") == "Hello, world"


def test_the_next_build_takes_over(plugin: PluginHarness) -> None:
    greeter = plugin.get({name})
    plugin.reload()
    assert greeter.greet("again") == "Hello, again"
''',
    "Makefile": """\
PYTHON   ?= python3
CONTRACT := contract.py:{name}
CFLAGS   := -std=c99 -O2 -g -Wall -Wextra -fPIC -fvisibility=hidden

{library}: {source} {prefix}.h
\t$(CC) $(CFLAGS) -shared -o $@ $<

{prefix}.h: contract.py
\tlatebind contract header --folder . $(CONTRACT)

check: {library}
\tlatebind plugin check . $(CONTRACT)

run: {library}
\tlatebind plugin run . $(CONTRACT) greet world

test: {library}
\t$(PYTHON) -m pytest -q

.PHONY: check run test
""",
}


def write_plugin(folder: str, identifier: str) -> list[str]:
    """Write the files of a new plugin into `folder`, which must not exist or be empty; returns their paths.

    Raises Unsupported for an id that is not reverse-dotted or a folder with something in it, SystemFailure if the
    folder cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", identifier):
        what = f"the id {identifier!r}"
        raise Unsupported(what, "an id is lower-case words with dots between", "give one: --id acme.greeter")
    last = identifier.rpartition(".")[2]
    names = {
        "id": identifier,
        "name": "".join(word.capitalize() for word in last.split("_")),
        "prefix": symbol_prefix(identifier),
        "library": f"lib{symbol_prefix(identifier)}.so",
        "source": f"{last}.c",
    }
    try:
        os.makedirs(folder, exist_ok=True)
        if os.listdir(folder):
            raise Unsupported(folder, "there is something in it already", "name a new folder")
        written = []
        for name, text in _FILES.items():
            path = os.path.join(folder, name.format(**names))
            with open(path, "x", encoding="utf-8") as file:
                file.write(text.format(**names))
            written.append(path)
    except OSError as error:
        raise SystemFailure("write", error.errno or 0, folder) from error
    return written
