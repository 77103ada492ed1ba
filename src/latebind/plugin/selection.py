"""Which of several plugins that provide a contract answers: the first in rank, one that is named, or one by a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from latebind.contracts import Range, compatible
from latebind.errors import NotFound, Tried, VersionConflict
from latebind.plugin.candidates import left_out, provided_version, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from latebind.contracts import Contract
    from latebind.errors import LatebindError
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.registry import Rejected

    Rule: TypeAlias = Callable[[Sequence[Manifest]], Manifest | None]
    """Is given the plugins that could answer, best first, and answers one of them, or None for none."""


def offers(
    contract: Contract, there: Iterable[Manifest], priorities: Mapping[str, int], plugin: str | None, version: str
) -> list[Manifest]:
    """The plugins that provide a contract, best first; of one id and of a range of versions, if those are given."""
    versions = Range.parse(version)
    providing = [m for m in there if provided_version(m, contract.id) is not None]
    fitting = [m for m in providing if plugin in {None, m.id} and versions.accepts(m.version)]
    return ranked(fitting, contract.id, priorities)


def mismatch(contract: Contract, manifest: Manifest) -> VersionConflict | None:
    """Why a plugin's version of a contract does not serve the host's, if it does not."""
    version = provided_version(manifest, contract.id)
    why = compatible(version, contract.version) if version is not None else None
    if why is None:
        return None
    text = f"plugin {manifest} provides {contract.id} {version}, the host has {contract.version}: {why}"
    return VersionConflict(text, (f"the host uses {contract.id} {contract.version}",))


def pick(contract: Contract, found: Sequence[Manifest], rule: Rule | None) -> Manifest | None:
    """The one to take of `offers`; None if the rule takes none.

    Versions that do not fit hide none that do. Raises `VersionConflict` if none does.
    """
    mismatches = [mismatch(contract, m) for m in found]
    fitting = [m for m, why in zip(found, mismatches, strict=True) if why is None]
    if not fitting and found:
        raise next(why for why in mismatches if why is not None)
    return (fitting[0] if rule is None else rule(tuple(fitting))) if fitting else None


def nobody(
    contract: Contract, known: Iterable[Manifest], reasons: Mapping[str, LatebindError], rejected: Sequence[Rejected]
) -> NotFound:
    """That nobody provides a contract, with everyone who could, and why they do not; `reasons` are by plugin."""
    tried = []
    for manifest in known:
        error = reasons.get(manifest.id)
        why = (
            f"is not loaded; host.load({manifest.id!r})" if error is None else f"failed: {' '.join(str(error).split())}"
        )
        tried.append(Tried(manifest.path, why))
    return NotFound(f"a loaded plugin that provides {contract.id}", None, (*tried, *left_out(rejected)))
