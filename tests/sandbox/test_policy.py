"""The policy: grants, sign-off, and the check of a plugin's imports before it is loaded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import CapabilityDenied, Policy, Unsupported
from latebind.sandbox import IMPLIED, Capability, Isolation, check, implied_by, require_inline, undeclared


def caps(*texts: str) -> list[Capability]:
    return [Capability.parse(t) for t in texts]


@pytest.mark.parametrize(
    ("symbol", "capability"),
    [("connect", "network:connect"), ("socket", "network"), ("execve", "process:execute"),
     ("system", "process:execute"),
     ("fopen", "filesystem"), ("fopen64", "filesystem"), ("open", "filesystem"), ("__open_2", "filesystem"),
     ("unlink", "filesystem:write"), ("opendir", "filesystem:read"), ("dlopen", "code:load"), ("getenv", "environment"),
     ("pthread_create", "threads"), ("ptrace", "process:trace"), ("syscall", "system:call"),
     ("mprotect", "code:write")],
)  # fmt: skip
def test_an_import_implies_a_capability(symbol: str, capability: str) -> None:
    assert [(str(i.capability), i.symbols) for i in implied_by(["malloc", symbol, "free"])] == [(capability, (symbol,))]


def test_computing_implies_nothing() -> None:
    harmless = [
        "malloc",
        "free",
        "memcpy",
        "printf",
        "cos",
        "qsort",
        "pthread_mutex_lock",
        "__stack_chk_fail",
        "write",
        "mmap",
    ]
    assert implied_by(harmless) == ()


def test_each_symbol_stands_in_the_table_once() -> None:
    from latebind.sandbox.implied import _TABLE

    words = [w for line in _TABLE.values() for w in line.split()]
    assert len(words) == len(set(words)) == len(IMPLIED)


def test_an_undeclared_capability_is_denied_with_its_symbols() -> None:
    with pytest.raises(CapabilityDenied) as caught:
        check("a.b", {"connect", "getaddrinfo", "malloc"}, [], Policy())
    assert caught.value.capability == "network:connect"
    assert caught.value.symbols == ("connect", "getaddrinfo")
    assert "plugin a.b: capability 'network:connect' (implied by its import of connect, getaddrinfo)" in str(
        caught.value
    )


def test_a_declared_capability_that_is_not_granted_is_denied() -> None:
    with pytest.raises(CapabilityDenied, match="not granted by the policy"):
        check("a.b", {"connect"}, caps("network:connect:443"), Policy({"a.b": ["network:connect:80"]}))


def test_a_declared_and_granted_capability_allows_its_imports() -> None:
    check("a.b", {"connect", "socket"}, caps("network:connect:443"), Policy({"a.*": ["network"]}))


def test_a_narrow_declaration_allows_the_family_only_in_its_direction() -> None:
    assert [str(i.capability) for i in undeclared({"fopen", "unlink", "opendir"}, caps("filesystem:read:/usr"))] == [
        "filesystem:write"
    ]


@given(st.sets(st.sampled_from(sorted(IMPLIED))))
def test_declaring_what_the_imports_imply_is_enough(symbols: set[str]) -> None:
    assert undeclared(symbols, [i.capability for i in implied_by(symbols)]) == ()


def test_grants_of_all_patterns_add_up() -> None:
    policy = Policy({"*": ["threads"], "acme.*": ["environment:LANG"], "other.x": ["network"]})
    assert [str(c) for c in policy.granted("acme.x")] == ["threads", "environment:LANG"]


def test_a_plugin_without_sign_off_is_to_be_isolated() -> None:
    policy = Policy(inline=["acme.*"])
    assert policy.isolation("acme.x") is Isolation.INLINE
    assert policy.isolation("other.x") is Isolation.PROCESS
    require_inline("acme.x", policy)
    with pytest.raises(Unsupported, match=r"isolation in a process.*sign it off with Policy\(inline=\['other\.x'\]\)"):
        require_inline("other.x", policy)


def test_a_wrong_policy_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        Policy({"a.b": ["nonsense"]})
    with pytest.raises(TypeError, match="not the text"):
        Policy(inline="acme.tokenizer")
    with pytest.raises(TypeError, match="not the text"):
        Policy({"a.b": "threads"})
