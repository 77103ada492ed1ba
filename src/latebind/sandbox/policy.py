"""The host's policy: what each plugin is granted, and which ones the host signed off to run inside its process.

A policy is a value. It says nothing by itself: `check` compares a plugin's declarations and imports with it, before
the plugin is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from latebind.errors import CapabilityDenied, Unsupported
from latebind.sandbox.capability import Capability, covered
from latebind.sandbox.implied import Implied, implied_by
from latebind.sandbox.trust import TrustStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Isolation(StrEnum):
    """Where a plugin runs."""

    INLINE = "inline"
    """In the host's process: fast, and no boundary. Native code can make raw system calls."""
    PROCESS = "process"
    """In a worker process that the kernel confines."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What plugins may do.

    `grants` maps a plugin's id, or a pattern such as `acme.*`, to capabilities; several that match add up. `inline`
    are the ids or patterns of the plugins that the host signed off to run in its own process; every other plugin
    runs isolated. `require_sha256` refuses a manifest without a checksum. `trust` are the keys that
    may sign plugins: with any there, the signature of a signed plugin must hold; `require_signature` refuses a plugin
    that is not signed. Raises ValueError on a wrong capability.
    """

    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inline: Sequence[str] = ()
    require_sha256: bool = False
    trust: TrustStore = field(default_factory=TrustStore)
    require_signature: bool = False

    def __post_init__(self) -> None:
        # A pattern given as plain text would silently mean its letters, one by one.
        for name, value in [("inline", self.inline), *self.grants.items()]:
            if isinstance(value, str):
                raise TypeError(f"{name}: expected a list of texts, not the text {value!r}")
        for texts in self.grants.values():
            for text in texts:
                Capability.parse(text)

    def granted(self, plugin: str) -> tuple[Capability, ...]:
        """Everything that the plugin is granted."""
        matching = [texts for pattern, texts in self.grants.items() if fnmatchcase(plugin, pattern)]
        return tuple(dict.fromkeys(Capability.parse(text) for texts in matching for text in texts))

    def isolation(self, plugin: str) -> Isolation:
        """Where the plugin is to run."""
        return Isolation.INLINE if any(fnmatchcase(plugin, p) for p in self.inline) else Isolation.PROCESS


def require_inline(plugin: str, policy: Policy) -> None:
    """Raise `Unsupported` for a plugin that the policy wants isolated, until isolation in a process exists."""
    if policy.isolation(plugin) is not Isolation.INLINE:
        raise Unsupported(
            f"plugin {plugin}",
            "the policy asks for isolation in a process of its own, which this version does not have yet",
            f"if you trust its code, sign it off with Policy(inline=[{plugin!r}])",
        )


def check_declared(plugin: str, declared: Iterable[Capability], policy: Policy) -> None:
    """Raise `CapabilityDenied` for the first declared capability that the policy does not grant."""
    granted = policy.granted(plugin)
    for capability in declared:
        if not covered(capability, granted):
            raise CapabilityDenied(
                plugin, str(capability), why="declared in its manifest and not granted by the policy"
            )


def undeclared(imports: Iterable[str], declared: Iterable[Capability]) -> tuple[Implied, ...]:
    """What the imported symbols imply and no declared capability touches."""
    known = tuple(declared)
    return tuple(i for i in implied_by(imports) if not any(c.touches(i.capability) for c in known))


def check(plugin: str, imports: Iterable[str], declared: Sequence[Capability], policy: Policy) -> None:
    """Raise `CapabilityDenied` unless everything declared is granted and everything imported is declared.

    `imports` are the names of the symbols that the plugin's files take from outside, without those that the host
    binds to a service. Nothing of the plugin has run when this raises.
    """
    check_declared(plugin, declared, policy)
    for found in undeclared(imports, declared):
        raise CapabilityDenied(plugin, str(found.capability), found.symbols, "not declared in its manifest")
