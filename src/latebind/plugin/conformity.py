"""Everything in which a compiled plugin differs from what it should be, at once and with both sides in words.

`check.py` is what the host asks before it loads: it stops at the first thing that is wrong. An author wants them all,
and wants the debug information read too, where it is there: what the compiler made of each function and structure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.contracts import compatible, layout_digest, read_note, symbol_prefix
from latebind.contracts.declared import Mismatch, declared_mismatches, lifecycle_mismatches
from latebind.contracts.layout import layout_entries, signatures
from latebind.elf.symbol import STT_FUNC, STT_GNU_IFUNC
from latebind.errors import Unsupported
from latebind.linkplan.declarations import debug_file, read_declarations
from latebind.plugin.check import near_miss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.contracts import Contract, ContractNote, PluginNote
    from latebind.elf import Elf
    from latebind.plugin.manifest import Manifest

_LIFECYCLE = ("lb_init", "lb_fini", "lb_save", "lb_restore", "lb_selftest")


def mismatches(manifest: Manifest, elf: Elf, contracts: Sequence[Contract]) -> tuple[tuple[Mismatch, ...], str | None]:
    """All mismatches of a plugin's file with its manifest and with the host's contracts.

    The second value says why compiled signatures were not compared, None where they were. Raises `ContractError` for
    notes that cannot be read, and `MalformedElf` for debug information that cannot.
    """
    note = read_note(elf.notes, manifest.entry_path)
    exported = frozenset(s.name for s in elf.symbols if s.exported and s.type in {STT_FUNC, STT_GNU_IFUNC})
    found = [*_identity(manifest, note), *_exports(note, exported)]
    for contract in contracts:
        for compiled in (note.provides.get(contract.id), note.requires.get(contract.id)):
            if compiled is not None:
                found += _contract(contract, compiled)
    wanted = [c for c in contracts if c.id in note.provides]
    compared, why_not = _compiled(elf, wanted, note, exported)
    return (*found, *compared), why_not


def _identity(manifest: Manifest, note: PluginNote) -> Iterator[Mismatch]:
    expected = f"{manifest.id} {manifest.version}"
    if note.id is None:
        yield Mismatch(f"plugin note of {manifest.entry}", expected, "none; add LATEBIND_PLUGIN")
    elif f"{note.id} {note.version}" != expected:
        yield Mismatch(f"plugin note of {manifest.entry}", expected, f"{note.id} {note.version}")
    promised = {p.contract: str(p.version) for p in manifest.provides}
    for contract, version in promised.items():
        found = note.provides.get(contract)
        if found is None:
            macro = f"LATEBIND_PROVIDES({symbol_prefix(contract)})"
            yield Mismatch(f"note that provides {contract}", version, f"none; add {macro}")
        elif str(found.version) != version:
            yield Mismatch(f"version of {contract}", f"{version} (manifest)", f"{found.version} (note)")
    for contract in note.provides.keys() - promised.keys():
        found = note.provides[contract]
        yield Mismatch(f"provides in the manifest: {contract}", str(found.version), "nothing")


def _exports(note: PluginNote, exported: frozenset[str]) -> Iterator[Mismatch]:
    for contract in note.provides.values():
        for symbol, entry in contract.symbols().items():
            if symbol not in exported and entry not in contract.optional:
                yield Mismatch(symbol, "an exported function", f"not exported{near_miss(symbol, exported)}")


def _contract(contract: Contract, compiled: ContractNote) -> Iterator[Mismatch]:
    why = compatible(compiled.version, contract.version)
    if why is not None:
        yield Mismatch(f"version of {contract.id}", f"one that serves {contract.version}", f"{compiled.version}: {why}")
    texts, digits = layout_entries(contract), signatures(contract)
    for entry, text in texts.items():
        known = compiled.methods.get(entry)
        if known is not None and known != digits[entry]:
            yield Mismatch(f"{contract.id}.{entry}", text, f"compiled from another declaration ({known})")
    if compiled.version == contract.version and compiled.digest != layout_digest(contract):
        for entry in texts.keys() - compiled.methods.keys():
            yield Mismatch(f"{contract.id}.{entry}", texts[entry], f"compiled against a {compiled.version} without it")
        for entry in compiled.methods.keys() - texts.keys():
            yield Mismatch(f"{contract.id}.{entry}", "nothing", f"compiled against a {compiled.version} that has it")


def _compiled(
    elf: Elf, contracts: Sequence[Contract], note: PluginNote, exported: frozenset[str]
) -> tuple[list[Mismatch], str | None]:
    """The debug information against the contracts."""
    path = debug_file(elf)
    if path is None:
        return [], "the file has no debug information; compile it with -g"
    try:
        found = read_declarations(path, exported)
    except Unsupported as e:
        return [], f"{e.why}; {e.do}"
    problems = list(lifecycle_mismatches(found)) if exported.intersection(_LIFECYCLE) else []
    for contract in contracts:
        functions = set(note.provides[contract.id].symbols())
        problems += declared_mismatches(contract, functions, found)
    if not contracts:
        return problems, "no contract is given to compare with"
    return problems, None
