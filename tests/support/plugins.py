"""Contracts that several tests share, and a folder in which a test builds plugins from short C sources.

The annotations below are read when the contracts are defined, so this module does without `from __future__`.
"""

import gc
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from latebind.contracts import contract
from latebind.testing import compile_plugin, write_headers
from support import needs


@contract("test.counter", version="1.1.0")
class Counter(Protocol):
    """Counts."""

    def add(self, amount: int) -> int:
        """Add, and answer the sum."""
        ...

    def name(self) -> str:
        """Which build this is."""
        ...


@contract("host.logger", version="1.0.0")
class Logger(Protocol):
    """Writes lines."""

    def info(self, text: str) -> None:
        """Write one line."""
        ...


@contract("test.words", version="1.0.0")
class Words(Protocol):
    """A dictionary, which one plugin provides and another one requires."""

    def find(self, word: str) -> list[str]:
        """What is like `word`."""
        ...


COUNTER = r"""
#include "test_counter.h"
#include "host_logger.h"
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef NAME
#define NAME "first"
#endif
#ifndef NO_NOTE
LATEBIND_PLUGIN("test.counter", VERSION)
LATEBIND_PROVIDES(test_counter)
#endif
static int64_t sum;

#ifndef NO_ADD
lb_status test_counter_add(lb_context *ctx, int64_t amount, int64_t *result)
{
    if (amount < 0)
        return lb_fail(ctx, "%d is negative", (int)amount);
    *result = sum += amount;
    return LB_OK;
}
#endif

lb_status test_counter_name(lb_context *ctx, lb_str *result)
{
    (void)ctx;
    *result = lb_text(NAME);
    return LB_OK;
}

#ifndef INIT
#define INIT LB_OK
#endif
lb_status lb_init(lb_context *ctx, lb_str config)
{
    (void)ctx, (void)config;
    return INIT;
}

#ifndef FINI
#define FINI LB_OK
#endif
lb_status lb_fini(lb_context *ctx)
{
    (void)ctx;
    return FINI;
}

#ifndef SAVE
#define SAVE LB_OK
#endif
lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{
    (void)ctx;
    *schema = 1;
    state->data = (const uint8_t *)&sum;
    state->size = sizeof sum;
    return SAVE;
}

#ifndef NO_RESTORE
#ifndef RESTORE
#define RESTORE LB_OK
#endif
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    if (schema != 1 || state.size != sizeof sum)
        return lb_fail(ctx, "unknown state");
    sum = *(const int64_t *)(const void *)state.data;
    return RESTORE;
}
#endif
"""
"""A counter whose behaviour macros change: each fault that a test needs is a -D."""

MANIFEST: dict[str, Any] = {
    "id": "test.counter",
    "version": "1.0.0",
    "entry": "plugin.so",
    "provides": [{"contract": "test.counter", "version": "1.1.0"}],
    "state": {"schema": 1},
}


_BUILT: dict[tuple[str, tuple[str, ...], tuple[object, ...]], bytes] = {}


@dataclass(slots=True)
class PluginFolder:
    """A folder of plugins under construction."""

    root: Path
    built: dict[str, Path] = field(default_factory=dict)

    def add(
        self,
        plugin: str,
        source: str,
        *,
        flags: tuple[str, ...] = (),
        contracts: tuple[object, ...] = (),
        **manifest: Any,
    ) -> Path:
        """Compile `source` to a plugin and write its manifest. Returns the plugin's folder."""
        folder = self.root / plugin
        folder.mkdir(parents=True, exist_ok=True)
        document = {"id": plugin, "version": "1.0.0", "entry": "plugin.so", **manifest}
        (folder / "plugin.yaml").write_text(yaml.safe_dump(document))
        self.compile(folder, source, flags, contracts)
        return folder

    def counter(self, *flags: str, **manifest: Any) -> Path:
        """The counter, in the same folder every time: calling it again makes the next build."""
        return self.add("test.counter", COUNTER, flags=flags, **{**MANIFEST, **manifest})

    def python(self, plugin: str, source: str, **manifest: Any) -> Path:
        """A Python plugin of one module, `code.py`."""
        folder = self.root / plugin
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "work.py").write_text(source)
        document = {"id": plugin, "version": "1.0.0", "entry": "work:Plugin", **manifest}
        (folder / "plugin.yaml").write_text(yaml.safe_dump(document))
        return folder

    def compile(
        self, folder: Path, source: str, flags: tuple[str, ...] = (), contracts: tuple[object, ...] = ()
    ) -> None:
        """Compile `source` to the folder's plugin.so."""
        needs.program("cc", "gcc libc6-dev")
        text = folder / "plugin.c"
        text.write_text(source)
        # Many tests build the same plugin; the file is another one each time all the same.
        key = source, flags, contracts
        if key in _BUILT and "-g" not in flags:  # debug information says where the source is
            draft = folder / "plugin.so.draft"
            draft.write_bytes(_BUILT[key])
            draft.chmod(0o755)
            draft.replace(folder / "plugin.so")
            write_headers(str(folder), [Counter, Logger, Words, *contracts])
            return
        compile_plugin(text, folder / "plugin.so", [Counter, Logger, Words, *contracts], flags=("-Werror", *flags))
        _BUILT[key] = (folder / "plugin.so").read_bytes()


def copy(folder: Path, to: Path) -> Path:
    """A copy of a built plugin's folder."""
    shutil.copytree(folder, to)
    return to


def mapped(name: str = "plugin.so") -> set[str]:
    """The files of that name that are mapped in this process, when what nobody refers to is gone."""
    gc.collect()
    with open("/proc/self/maps") as maps:
        return {line.split()[-1] for line in maps if line.rstrip().endswith("/" + name)}
