"""Services by symbol binding: of the host, of other plugins, missing ones and wrong ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import (
    ContractError,
    Host,
    LifecycleError,
    NotFound,
    NotProvided,
    PluginError,
    UnresolvedSymbol,
    VersionConflict,
    contract,
)
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = [{"contract": "host.logger", "version": "^1.0"}]
COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]

TALKS = r"""
#include "test_counter.h"
#include "host_logger.h"
#include "test_words.h"
LATEBIND_PLUGIN("test.talks", "1.0.0")
LATEBIND_PROVIDES(test_counter)
#ifndef QUIET
LATEBIND_REQUIRES(host_logger)
#endif
static int64_t sum;
lb_status test_counter_add(lb_context *ctx, int64_t amount, int64_t *result)
{
    lb_status status = CALL;
    if (status != LB_OK)
        return status;
    *result = sum += amount;
    return LB_OK;
}
lb_status test_counter_name(lb_context *ctx, lb_str *result)
{
    lb_list_str found;
    lb_status status = FIND;
    if (status != LB_OK)
        return status;
    *result = found.data[found.size - 1];
    return LB_OK;
}
"""
SPEAK = '-DCALL=host_logger_info(ctx,lb_text("added"))'
SILENT = "-DCALL=((void)ctx,LB_OK)"
FIND = '-DFIND=test_words_find(ctx,lb_text("word"),&found)'
NO_FIND = '-DFIND=(found.size=1,found.data=0,lb_fail(ctx,"none"))'

DICTIONARY = r"""
#include "test_words.h"
LATEBIND_PLUGIN("test.dictionary", "1.0.0")
LATEBIND_PROVIDES(test_words)
static int64_t asked;
lb_status test_words_find(lb_context *ctx, lb_str word, lb_list_str *result)
{
    lb_str *found = lb_alloc(ctx, 2 * sizeof *found);
    char *number = lb_alloc(ctx, 2);
    if (word.size != 4)
        return lb_fail(ctx, "unknown word");
    number[0] = (char)('0' + ++asked);
    found[0] = word;
    found[1].data = number;
    found[1].size = 1;
    result->data = found;
    result->size = 2;
    return LB_OK;
}
lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{ (void)ctx, (void)schema; state->data = (const uint8_t *)&asked; state->size = sizeof asked; return LB_OK; }
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{ (void)ctx, (void)schema; asked = *(const int64_t *)(const void *)state.data; return LB_OK; }
"""


def talks(plugins: PluginFolder, *flags: str, **manifest: Any) -> Path:
    return plugins.add("test.talks", TALKS, flags=flags, **{"provides": COUNTS, "requires": LOGGER, **manifest})


def test_a_plugins_undefined_symbol_reaches_the_hosts_service(
    host: Host, plugins: PluginFolder, logger: Recorder
) -> None:
    talks(plugins, SPEAK, NO_FIND)
    host.discover(plugins.root)
    host.load("test.talks")
    assert host.get(Counter).add(3) == 3
    assert logger.calls == [("info", ("added",))]


def test_a_service_is_reached_from_any_thread(host: Host, plugins: PluginFolder, logger: Recorder) -> None:
    talks(plugins, SPEAK, NO_FIND)
    host.discover(plugins.root)
    host.load("test.talks")
    counter = host.get(Counter)
    threads = [threading.Thread(target=lambda: [counter.add(1) for _ in range(50)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (counter.add(0), len(logger.calls)) == (200, 201)


def test_what_the_service_raises_is_the_cause(plugins: PluginFolder) -> None:
    talks(plugins, SPEAK, NO_FIND)
    with Host(everything_allowed(), {Logger: Recorder(Logger, info=OSError(28, "disk full"))}) as host:
        host.discover(plugins.root)
        host.load("test.talks")
        with pytest.raises(PluginError, match="disk full") as caught:
            host.get(Counter).add(1)
        assert isinstance(caught.value.__cause__, OSError)


def test_an_import_of_a_contract_that_is_not_required_is_refused(host: Host, plugins: PluginFolder) -> None:
    talks(plugins, SPEAK, NO_FIND, requires=[])
    host.discover(plugins.root)
    with pytest.raises(
        ContractError, match=r"imports host_logger_info, and its manifest does not require host\.logger"
    ):
        host.load("test.talks")


def test_an_import_that_the_service_does_not_have_is_named(host: Host, plugins: PluginFolder) -> None:
    source = TALKS.replace(
        "static int64_t sum;", "static int64_t sum; LB_EXPORT lb_status host_logger_inform(lb_context *, lb_str);"
    )
    plugins.add(
        "test.talks",
        source,
        flags=('-DCALL=host_logger_inform(ctx,lb_text("x"))', NO_FIND),
        provides=COUNTS,
        requires=LOGGER,
    )
    host.discover(plugins.root)
    with pytest.raises(UnresolvedSymbol) as caught:
        host.load("test.talks")
    assert caught.value.symbol == "host_logger_inform"
    assert caught.value.near == ("host_logger_info",)


def test_a_service_compiled_with_other_types_is_refused(plugins: PluginFolder) -> None:
    talks(plugins, SPEAK, NO_FIND)

    @contract("host.logger", version="1.0.0")
    class Other(Protocol):
        def info(self, text: bytes) -> None: ...

    with Host(everything_allowed(), {Other: Recorder(Other)}) as host:
        host.discover(plugins.root)
        with pytest.raises(ContractError, match="compiled with other types for info"):
            host.load("test.talks")


def test_an_optional_service_that_is_missing_says_so_when_it_is_called(plugins: PluginFolder) -> None:
    talks(plugins, SPEAK, NO_FIND, requires=[{"contract": "host.logger", "version": "^1.0", "optional": True}])
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.talks")
        with pytest.raises(NotProvided, match="host_logger_info belongs to an optional service"):
            host.get(Counter).add(1)


def test_a_required_service_that_is_missing_is_refused_before_loading(plugins: PluginFolder) -> None:
    talks(plugins, SPEAK, NO_FIND)
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        with pytest.raises(NotFound, match=r"host\.logger: not found, needed by test\.talks"):
            host.load("test.talks")


# Plugins that serve plugins.


@pytest.fixture
def pair(plugins: PluginFolder) -> PluginFolder:
    """A plugin that asks a dictionary, and the dictionary, which counts how often it was asked."""
    talks(plugins, SILENT, FIND, "-DQUIET", requires=[{"contract": "test.words", "version": "^1"}])
    plugins.add("test.dictionary", DICTIONARY, provides=[{"contract": "test.words", "version": "1.0.0"}])
    return plugins


def test_a_plugin_serves_another_and_is_loaded_first(pair: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Words]) as other:
        other.discover(pair.root)
        other.load("test.talks")
        assert [s.required_by for s in other.plugins()] == [("test.talks",), ()]
        counter = other.get(Counter)
        assert [counter.name(), counter.name()] == ["1", "2"]
        assert other.get(Words).find("four") == ["four", "3"]


def test_the_dictionary_can_be_reloaded_under_the_plugin_that_uses_it(pair: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(pair.root)
        host.load("test.talks")
        counter = host.get(Counter)
        assert counter.name() == "1"
        host.reload("test.dictionary")
        assert counter.name() == "2"
        host.reload("test.talks")
        assert counter.name() == "3"


def test_what_others_require_cannot_be_unloaded(pair: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(pair.root)
        host.load("test.talks")
        with pytest.raises(LifecycleError, match=r"test\.talks requires it"):
            host.unload("test.dictionary")
        host.unload("test.talks")
        host.unload("test.dictionary")


def test_a_reload_to_a_version_that_others_cannot_use_is_rolled_back(pair: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(pair.root)
        host.load("test.talks")
        pair.add("test.dictionary", DICTIONARY, provides=[{"contract": "test.words", "version": "2.0.0"}])
        with pytest.raises(VersionConflict, match=r"does not fit test\.talks"):
            host.reload("test.dictionary")
        assert host.get(Counter).name() == "1"


def test_if_the_second_plugin_fails_the_first_is_unloaded_too(pair: PluginFolder) -> None:
    (pair.root / "test.talks" / "plugin.so").write_bytes(b"")
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(pair.root)
        with pytest.raises(Exception, match="empty"):
            host.load("test.talks")
        assert [s.loaded for s in host.plugins()] == [False, False]


def test_a_contract_between_plugins_must_be_known_to_the_host(pair: PluginFolder) -> None:
    with Host(everything_allowed()) as host:
        host.discover(pair.root)
        with pytest.raises(NotFound, match=r"pass its class in Host\(contracts="):
            host.load("test.talks")
        assert [s.loaded for s in host.plugins()] == [False, False]


def test_an_error_passes_through_both_plugins(plugins: PluginFolder) -> None:
    talks(
        plugins,
        SILENT,
        FIND.replace('"word"', '"words"'),
        "-DQUIET",
        requires=[{"contract": "test.words", "version": "^1"}],
    )
    plugins.add("test.dictionary", DICTIONARY, provides=[{"contract": "test.words", "version": "1.0.0"}])
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("test.talks")
        with pytest.raises(PluginError, match="unknown word") as caught:
            host.get(Counter).name()
        assert caught.value.plugin == "test.talks"
        assert isinstance(caught.value.__cause__, PluginError)
        assert caught.value.__cause__.plugin == "test.dictionary"
