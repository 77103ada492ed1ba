"""PluginHarness: a plugin's author tests the plugin, compiled by its Makefile, without a host program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from latebind import BuildFailed, CapabilityDenied, NotFound, PluginError
from latebind.testing import PluginHarness, Recorder, run_make, write_headers
from support import needs
from support.plugins import COUNTER, MANIFEST, Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
plugin.so: plugin.c
\tcc -std=c99 -g -fPIC -shared $(FLAGS) -o $@ $<
"""
TALKS = r"""
#include "host_logger.h"
#include "test_words.h"
LATEBIND_PLUGIN("test.words", "1.0.0")
LATEBIND_PROVIDES(test_words)
LATEBIND_REQUIRES(host_logger)
lb_status test_words_find(lb_context *ctx, lb_str word, lb_list_str *result)
{
    static lb_str found;
    found = word;
    result->data = &found, result->size = 1;
    return host_logger_info(ctx, word);
}
lb_status lb_selftest(lb_context *ctx)
{ return lb_fail(ctx, "not today"); }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The counter, with a Makefile."""
    needs.program("make", "make")
    needs.program("cc", "gcc libc6-dev")
    write_headers(tmp_path, [Counter, Logger, Words])
    (tmp_path / "plugin.c").write_text(COUNTER)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "plugin.yaml").write_text(yaml.safe_dump(MANIFEST))
    return tmp_path


def test_the_plugin_is_built_and_answers(folder: Path) -> None:
    with PluginHarness(folder, Counter) as plugin:
        assert plugin.get(Counter).add(3) == 3
        assert plugin.selftest() is False


def test_its_state_survives_a_reload(folder: Path) -> None:
    with PluginHarness(folder, Counter) as plugin:
        counter = plugin.get(Counter)
        counter.add(3)
        assert plugin.reload().state == 8
        assert counter.add(4) == 7


def test_a_source_that_does_not_compile(folder: Path) -> None:
    (folder / "plugin.c").write_text("int x = ;")
    with pytest.raises(BuildFailed, match="plugin.c:1:9: error"):
        PluginHarness(folder, Counter)


def test_every_mismatch_is_told(folder: Path) -> None:
    (folder / "Makefile").write_text(MAKEFILE.replace("$(FLAGS)", "-DNO_ADD"))
    (folder / "plugin.yaml").write_text(yaml.safe_dump({**MANIFEST, "version": "1.0.1"}))
    with pytest.raises(AssertionError) as caught:
        PluginHarness(folder, Counter)
    assert "expected: test.counter 1.0.1\n  found:    test.counter 1.0.0" in str(caught.value)
    assert "test_counter_add\n  expected: an exported function\n  found:    not exported" in str(caught.value)


def test_services_are_faked(folder: Path) -> None:
    (folder / "plugin.c").write_text(TALKS)
    manifest = {
        "id": "test.words", "version": "1.0.0", "entry": "plugin.so",
        "provides": [{"contract": "test.words", "version": "1.0.0"}],
        "requires": [{"contract": "host.logger", "version": "^1.0"}],
    }  # fmt: skip
    (folder / "plugin.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(NotFound, match=r"host\.logger"):
        PluginHarness(folder, Words)
    logger = Recorder(Logger)
    with PluginHarness(folder, Words, services={Logger: logger}) as plugin:
        assert plugin.get(Words).find("x") == ["x"]
        with pytest.raises(PluginError, match="lb_selftest: not today"):
            plugin.selftest()
    assert logger.calls == [("info", ("x",))]


def test_a_capability_that_the_manifest_does_not_declare(folder: Path) -> None:
    (folder / "plugin.c").write_text(COUNTER + "\n#include <stdlib.h>\nchar *spy(void) { return getenv(NAME); }\n")
    with pytest.raises(CapabilityDenied, match="environment"):
        PluginHarness(folder, Counter)


def test_a_failing_end_fails_the_test(folder: Path) -> None:
    (folder / "Makefile").write_text(MAKEFILE.replace("$(FLAGS)", """'-DFINI=lb_fail(ctx, "never")'"""))
    with pytest.raises(AssertionError, match="lb_fini: never"):
        PluginHarness(folder, Counter).close()
    with pytest.raises(KeyError) as caught, PluginHarness(folder, Counter):
        raise KeyError("the test's own")
    assert "lb_fini: never" in caught.value.__notes__[0]


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no plugin.yaml"):
        PluginHarness(tmp_path)


def test_make_runs_a_target(folder: Path) -> None:
    run_make(str(folder), ["plugin.so"])
    assert (folder / "plugin.so").exists()
    with pytest.raises(BuildFailed, match="No rule to make target"):
        run_make(str(folder), ["nothing"])


def test_a_plugin_in_python_needs_no_build(tmp_path: Path) -> None:
    source = "class Plugin:\n    def __init__(self, context): ...\n    def find(self, word):\n        return [word]\n"
    provides = [{"contract": "test.words", "version": "1.0.0"}]
    folder = PluginFolder(tmp_path).python("test.words", source, provides=provides)
    with PluginHarness(folder, Words) as plugin:
        assert plugin.get(Words).find("x") == ["x"]
