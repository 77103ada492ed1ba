"""Capabilities: the language, and what covers what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind.sandbox import Capability, covered
from latebind.sandbox.capability import KINDS, Argument

ARGUMENTS = {
    Argument.NONE: st.just(""),
    Argument.PORT: st.integers(1, 65535).map(str),
    Argument.PATH: st.sampled_from(["/", "/usr", "/usr/share", "/usr/share/dict", "/us", "/etc"]),
    Argument.NAME: st.sampled_from(["LANG", "PATH", "_x1"]),
}


@st.composite
def capabilities(draw: st.DrawFn) -> Capability:
    kind = draw(st.sampled_from(sorted(KINDS)))
    action = draw(st.sampled_from(sorted(KINDS[kind])))
    argument = draw(st.one_of(st.just(""), ARGUMENTS[KINDS[kind][action]]))
    return draw(st.sampled_from([Capability(kind, action, argument), Capability(kind)]))


@given(capabilities())
def test_a_capability_reads_back_as_itself(capability: Capability) -> None:
    assert Capability.parse(str(capability)) == capability


@given(capabilities(), capabilities(), capabilities())
def test_covering_is_reflexive_and_transitive(a: Capability, b: Capability, c: Capability) -> None:
    assert a.covers(a)
    assert not (a.covers(b) and b.covers(c)) or a.covers(c)
    assert not (a.covers(b) and b.covers(a)) or a == b


@pytest.mark.parametrize(
    ("grant", "wanted", "expected"),
    [
        ("network", "network:connect:443", True),
        ("network:connect", "network:connect:443", True),
        ("network:connect:443", "network:connect:443", True),
        ("network:connect:443", "network:connect:80", False),
        ("network:connect:443", "network:connect", False),
        ("network:connect", "network:listen", False),
        ("network:connect:44", "network:connect:443", False),
        ("filesystem:read:/usr/share", "filesystem:read:/usr/share/dict", True),
        ("filesystem:read:/usr/share", "filesystem:read:/usr/shared", False),
        ("filesystem:read:/usr/share", "filesystem:write:/usr/share", False),
        ("filesystem:read:/", "filesystem:read:/etc", True),
        ("environment", "environment:LANG", True),
        ("environment:LANG", "environment:LANGUAGE", False),
        ("threads", "threads", True),
        ("threads", "network", False),
    ],
)
def test_what_covers_what(grant: str, wanted: str, expected: bool) -> None:  # noqa: FBT001
    assert covered(Capability.parse(wanted), [Capability.parse(grant)]) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "unknown kind"),
        ("netwrk:connect", "did you mean 'network'"),
        ("network:conect", "did you mean 'connect'"),
        ("network:", "empty"),
        ("network::443", "empty"),
        ("network:connect:", "empty"),
        ("network:connect:0", "port number"),
        ("network:connect:65536", "port number"),
        ("network:connect:http", "port number"),
        ("filesystem:read:share", "absolute path"),
        ("filesystem:read:/a/../b", "absolute path"),
        ("filesystem:read:/a/", "absolute path"),
        ("filesystem:read://", "absolute path"),
        ("environment:1X", "environment variable"),
        ("threads:2", "nothing"),
        ("process:fork:now", "nothing"),
    ],
)
def test_what_is_no_capability_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Capability.parse(text)
