"""Everything that can be known of a native plugin before an instruction of it runs.

`check_native` reads as the list of questions: is it the file that the manifest means, is it the plugin it claims to
be, does it export what it promises, do its contracts fit the host's, is there a service for what it imports, and may
it do what its imports imply. Only files are read; the result is what `native.py` loads.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.contracts import (
    Contract,
    ContractNote,
    PluginNote,
    compatible,
    differences,
    read_note,
    symbol_prefix,
)
from latebind.elf import read
from latebind.elf.symbol import STT_FUNC, STT_GNU_IFUNC
from latebind.errors import ContractError, UnresolvedSymbol, VersionConflict
from latebind.linker import Namespace
from latebind.linker import plan as make_plan
from latebind.plugin.services import Service, prefix_owner
from latebind.sandbox import Policy, check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from latebind.linkplan import LinkPlan
    from latebind.plugin.manifest import Manifest, Required
    from latebind.plugin.store import Stored


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plugin is checked against.

    `contracts` are those that the host knows; `services` those that are there, by contract id; `policy` what the
    plugin may do.
    """

    contracts: Sequence[Contract]
    services: Mapping[str, Service]
    policy: Policy


@dataclass(frozen=True, slots=True)
class CheckedPlugin:
    """A native plugin that may be loaded: its plan, its notes, its exports, and the symbols to bind to services.

    `imports` maps each imported symbol of a required contract to the contract's id.
    """

    manifest: Manifest
    stored: Stored
    plan: LinkPlan
    namespace: Namespace
    note: PluginNote
    exports: frozenset[str]
    imports: Mapping[str, str]


def check_native(manifest: Manifest, stored: Stored, around: Surroundings) -> CheckedPlugin:
    """Ask everything that can be asked before loading. Raises the first thing that is wrong."""
    check_sum(manifest, stored, around.policy)
    # A namespace of its own: two generations side by side share no symbol and no data, and neither sees the host's.
    namespace = Namespace(f"plugin {manifest}")
    plan = make_plan(stored.path, into=namespace, library_path=_library_path(manifest, stored))
    elf = plan.root.elf
    note = check_note(manifest, read_note(elf.notes, manifest.entry_path))
    exports = frozenset(s.name for s in elf.symbols if s.exported and s.type in {STT_FUNC, STT_GNU_IFUNC})
    check_exports(note, exports)
    check_contracts(manifest, note, around.contracts)
    imports = match_imports(manifest, note, plan, around)
    check_required(manifest, note, around.services)
    check(manifest.id, imported_symbols(plan, manifest, stored, imports), manifest.capabilities, around.policy)
    return CheckedPlugin(manifest, stored, plan, namespace, note, exports, imports)


def _library_path(manifest: Manifest, stored: Stored) -> tuple[str, ...]:
    """Where the libraries of a copied entry are: beside the copy, and where its $ORIGIN leads out of the plugin.

    What leads out is not copied; it is the operator's, as the system's libraries are.
    """
    origin = os.path.dirname(manifest.entry_path)
    dynamic = read(stored.path).dynamic
    written = (dynamic.runpath or dynamic.rpath or "").split(":")
    named = [os.path.normpath(p.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin))
             for p in written if "ORIGIN" in p]  # fmt: skip
    outside = [p for p in named if not (p + os.sep).startswith(os.path.join(manifest.folder, ""))]
    return (os.path.dirname(stored.path), *outside, origin)


def check_sum(manifest: Manifest, stored: Stored, policy: Policy) -> None:
    """The file must have the manifest's checksum; a strict policy wants one to be there."""
    if manifest.sha256 is None and policy.require_sha256:
        raise ContractError(manifest.id, "its manifest has no sha256, which the policy requires")
    if manifest.sha256 is not None and manifest.sha256 != stored.sha256:
        what = f"{manifest.entry} has the SHA-256 {stored.sha256}, its manifest says {manifest.sha256}"
        raise ContractError(manifest.id, what)


def check_note(manifest: Manifest, note: PluginNote) -> PluginNote:
    """The file must say the same of itself as the manifest does."""
    if note.id is None:
        what = f'{manifest.entry} has no plugin note; add LATEBIND_PLUGIN("{manifest.id}", "{manifest.version}")'
        raise ContractError(manifest.id, what)
    if (note.id, note.version) != (manifest.id, manifest.version):
        what = f"{manifest.entry} was compiled as {note.id} {note.version}, its manifest says {manifest}"
        raise ContractError(manifest.id, what)
    for provided in manifest.provides:
        found = note.provides.get(provided.contract)
        if found is None:
            macro = f"LATEBIND_PROVIDES({symbol_prefix(provided.contract)})"
            raise ContractError(provided.contract, f"{manifest.entry} has no note that provides it; add {macro}")
        if found.version != provided.version:
            what = f"{manifest.entry} was compiled against {found.version}, its manifest says {provided.version}"
            raise ContractError(provided.contract, what)
    return note


def check_exports(note: PluginNote, exports: frozenset[str]) -> None:
    """Each function that the notes promise must be exported, but for those that may be left out."""
    for contract in note.provides.values():
        for symbol, entry in contract.symbols().items():
            if symbol not in exports and entry not in contract.optional:
                what = f"the plugin does not export {symbol}{near_miss(symbol, exports)}"
                raise ContractError(contract.id, what, entry)


def near_miss(symbol: str, exports: Iterable[str]) -> str:
    """A question about the exported name that comes close to `symbol`; the empty text if none does."""
    near = difflib.get_close_matches(symbol, sorted(exports), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def check_contracts(manifest: Manifest, note: PluginNote, contracts: Iterable[Contract]) -> None:
    """Where the host knows a provided contract, version and types must fit."""
    for contract in contracts:
        found = note.provides.get(contract.id)
        if found is not None:
            check_version(manifest, contract, found)
            difference = differences(found, contract)
            if difference is not None:
                raise ContractError(contract.id, f"plugin {manifest}: {difference}")


def check_version(manifest: Manifest, contract: Contract, found: ContractNote) -> None:
    """The plugin's version of a contract must serve the host's; raises `VersionConflict`."""
    why = compatible(found.version, contract.version)
    if why is not None:
        name = contract.id
        text = f"plugin {manifest} was built against {name} {found.version}, the host has {contract.version}: {why}"
        sides = f"the plugin provides {name} {found.version}", f"the host uses {name} {contract.version}"
        raise VersionConflict(text, sides)


def match_imports(manifest: Manifest, note: PluginNote, plan: LinkPlan, around: Surroundings) -> dict[str, str]:
    """The imported symbols that belong to a required contract, each with the contract's id.

    Raises `UnresolvedSymbol` for one that the service does not have, and `ContractError` for one of a contract that
    the manifest does not require.
    """
    required = {r.id: r for r in manifest.requires if r.kind == "contract"}
    known = {c.id for c in around.contracts} | around.services.keys() | required.keys()
    prefixes = [(symbol_prefix(contract), contract) for contract in known]
    # The functions of handles that a service answers have the prefix of another contract: their names are known
    # from the service's contract, or, where the service is absent, from what the plugin was compiled with.
    offered = {s.contract.id: [f.symbol for f in s.contract.functions()] for s in around.services.values()}
    owners = {symbol: contract.id for contract in note.requires.values() for symbol in contract.symbols()}
    owners |= {symbol: contract for contract, symbols in offered.items() for symbol in symbols}
    matched: dict[str, str] = {}
    for item in plan.imports:
        if item.provider is not None:
            continue
        owner = owners.get(item.symbol) or prefix_owner(item.symbol, prefixes)
        if owner is None:
            continue
        if owner not in required:
            what = f"{manifest.entry} imports {item.symbol}, and its manifest does not require {owner}"
            raise ContractError(owner, what)
        if owner in offered and item.symbol not in offered[owner]:
            near = tuple(difflib.get_close_matches(item.symbol, offered[owner], n=3))
            raise UnresolvedSymbol(item.symbol, None, manifest.entry_path, near)
        matched[item.symbol] = owner
    return matched


def check_required(manifest: Manifest, note: PluginNote, services: Mapping[str, Service]) -> None:
    """Where the notes tell how a required contract was compiled, it must fit the service."""
    for required in manifest.requires:
        compiled, service = note.requires.get(required.id), services.get(required.id)
        if compiled is not None and service is not None:
            difference = differences(compiled, service.contract)
            if difference is not None:
                raise ContractError(required.id, f"plugin {manifest} requires it, and {difference}")


def accepts(required: Required, service: Service) -> bool:
    """Whether a service's version lies in the required range."""
    return required.range.accepts(service.contract.version)


def imported_symbols(plan: LinkPlan, manifest: Manifest, stored: Stored, bound: Iterable[str]) -> set[str]:
    """What the plugin's own files take from outside: the entry, and the libraries that lie in its folder.

    `bound` are the symbols that go to services: what those may do is the host's business.
    """
    names = {item.symbol for item in plan.imports}
    inside = tuple(os.path.join(folder, "") for folder in (manifest.folder, stored.folder))
    for item in plan.loaded:
        if item.index != 0 and item.path.startswith(inside):
            names |= {s.name for s in item.elf.symbols if not s.defined and s.name}
    return names - set(bound)
