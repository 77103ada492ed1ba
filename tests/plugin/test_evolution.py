"""One plugin, compiled for real against version 1.1 of a contract, under hosts at 1.0, 1.1, 1.2 and 2.0."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

import enum
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from latebind import ContractError, Host, NotProvided, PluginError, VersionConflict
from latebind.contracts import Handle, contract, contract_of
from latebind.contracts.evolution import compare
from latebind.testing import everything_allowed
from support.plugins import PluginFolder


def version_1_0() -> Any:
    class Mode(enum.Enum):
        FAST = 0

    @contract("test.session", version="1.0.0")
    class Session(Handle, Protocol):
        def read(self) -> int: ...

    @contract("test.evolving", version="1.0.0")
    class Evolving(Protocol):
        def first(self, mode: Mode) -> int: ...

        def open(self) -> Session: ...

    Evolving.Mode = Mode  # type: ignore[attr-defined]
    return Evolving


def version_1_1() -> Any:
    class Mode(enum.Enum):
        FAST = 0
        SLOW = 1

    @contract("test.session", version="1.1.0")
    class Session(Handle, Protocol):
        def read(self) -> int: ...

    @contract("test.evolving", version="1.1.0")
    class Evolving(Protocol):
        def first(self, mode: Mode) -> int: ...

        def open(self) -> Session: ...

        def second(self) -> int: ...

    Evolving.Mode = Mode  # type: ignore[attr-defined]
    return Evolving


def version_1_2() -> Any:
    class Mode(enum.Enum):
        FAST = 0
        SLOW = 1
        NEW = 2

    @contract("test.session", version="1.2.0")
    class Session(Handle, Protocol):
        def read(self) -> int: ...

        def twice(self) -> int:
            return 2 * self.read()

        def seek(self) -> None: ...

    @contract("test.evolving", version="1.2.0")
    class Evolving(Protocol):
        def first(self, mode: Mode) -> int: ...

        def open(self) -> Session: ...

        def second(self) -> int: ...

        def third(self, times: int = 3) -> int:
            """Later than the plugin, with a default body."""
            return times * self.second()

        def fourth(self) -> Iterator[int]:
            """Later than the plugin, without one."""
            ...

    Evolving.Mode = Mode  # type: ignore[attr-defined]
    return Evolving


def version_2_0() -> Any:
    @contract("test.evolving", version="2.0.0")
    class Evolving(Protocol):
        def first(self, mode: str) -> int: ...

    return Evolving


def dishonest_1_2() -> Any:
    """It calls itself 1.2, and changed what was there."""

    @contract("test.evolving", version="1.2.0")
    class Evolving(Protocol):
        def first(self, mode: str) -> int: ...

        def second(self) -> int: ...

    return Evolving


SOURCE = r"""
#include "test_evolving.h"
LATEBIND_PLUGIN("test.evolving", "7.0.0")
LATEBIND_PROVIDES(test_evolving)
struct test_session { int64_t number; };
static struct test_session session = {21};
lb_status test_evolving_first(lb_context *ctx, test_evolving_Mode mode, int64_t *result)
{
    switch (mode) {
    case TEST_EVOLVING_MODE_FAST: *result = 1; return LB_OK;
    case TEST_EVOLVING_MODE_SLOW: *result = 11; return LB_OK;
    default: return lb_fail(ctx, "mode %d is unknown", (int)mode);
    }
}
lb_status test_evolving_open(lb_context *ctx, test_session **result)
{ (void)ctx; *result = &session; return LB_OK; }
lb_status test_session_read(lb_context *ctx, test_session *self, int64_t *result)
{ (void)ctx; *result = self->number; return LB_OK; }
lb_status test_session_close(lb_context *ctx, test_session *self)
{ (void)ctx; (void)self; return LB_OK; }
lb_status test_evolving_second(lb_context *ctx, int64_t *result)
{ (void)ctx; *result = 2; return LB_OK; }
"""
Load = Callable[[Any], Any]


@pytest.fixture
def load(plugins: PluginFolder) -> Iterator[Load]:
    """Load the plugin, which was built against 1.1, in a host that has another version of the contract."""
    provides = [{"contract": "test.evolving", "version": "1.1.0"}]
    plugins.add("test.evolving", SOURCE, contracts=(version_1_1(),), version="7.0.0", provides=provides)
    hosts = []

    def loaded(cls: Any) -> Any:
        host = Host(everything_allowed(), contracts=[cls])
        hosts.append(host)
        host.discover(plugins.root)
        host.load("test.evolving")
        return host.get(cls)

    yield loaded
    for host in hosts:
        host.close()


def test_a_host_at_1_0_is_too_old(load: Load) -> None:
    with pytest.raises(VersionConflict, match=r"needs a newer contract than the host has") as caught:
        load(version_1_0())
    assert "test.evolving 1.1.0" in str(caught.value)
    assert "1.0.0" in str(caught.value)


def test_a_host_at_1_1_gets_all_of_it(load: Load) -> None:
    cls = version_1_1()
    plugin = load(cls)
    assert (plugin.first(cls.Mode.SLOW), plugin.second()) == (11, 2)
    with plugin.open() as session:
        assert session.read() == 21


def test_a_host_at_1_2_gets_what_there_is_and_default_bodies(load: Load) -> None:
    cls = version_1_2()
    plugin = load(cls)
    assert (plugin.first(cls.Mode.FAST), plugin.second()) == (1, 2)
    assert plugin.third() == 6
    assert plugin.third(times=10) == 20
    with pytest.raises(NotProvided, match=r"test\.evolving\.fourth: the plugin was built against an older contract"):
        plugin.fourth()


def test_a_handle_grows_in_the_same_way(load: Load) -> None:
    with load(version_1_2()).open() as session:
        assert session.twice() == 42
        with pytest.raises(NotProvided, match=r"test\.session\.seek"):
            session.seek()


def test_a_member_that_the_plugin_does_not_know_reaches_it_as_a_number(load: Load) -> None:
    cls = version_1_2()
    with pytest.raises(PluginError, match="mode 2 is unknown"):
        load(cls).first(cls.Mode.NEW)


def test_a_host_at_2_0_refuses_it(load: Load) -> None:
    with pytest.raises(VersionConflict, match="the versions break with each other"):
        load(version_2_0())


def test_a_host_whose_version_lies_is_found_out(load: Load) -> None:
    with pytest.raises(ContractError, match="compiled with other types for first"):
        load(dishonest_1_2())


def test_the_versions_are_what_their_changes_need() -> None:
    steps = [contract_of(make()) for make in (version_1_0, version_1_1, version_1_2, version_2_0)]
    for old, new in itertools.pairwise(steps):
        assert compare(old, new).honest
        assert compare(old, new).needed == new.version
    assert str(compare(steps[1], contract_of(dishonest_1_2())).needed) == "2.0.0"


def test_nothing_of_a_refused_plugin_runs(plugins: PluginFolder, load: Load) -> None:
    marker = plugins.root / "marker"
    first = f'__attribute__((constructor)) static void mark(void) {{ fclose(fopen("{marker}", "w")); }}'
    provides = [{"contract": "test.evolving", "version": "1.1.0"}]
    plugins.add(
        "test.evolving", f"{SOURCE}\n#include <stdio.h>\n{first}\n", contracts=(version_1_1(),), version="7.0.0",
        provides=provides, capabilities=["filesystem"],
    )  # fmt: skip
    for cls in (version_1_0(), version_2_0(), dishonest_1_2()):
        with pytest.raises((VersionConflict, ContractError)):
            load(cls)
    assert not marker.exists()
    load(version_1_1())
    assert marker.exists()
