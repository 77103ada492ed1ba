"""Two versions of a contract compared: what changed, whom it breaks, and the SemVer bump that it needs.

A plugin that was built against the old contract must serve a host with the new one of the same major version, and
programs written for the old one must work with the new one. What is compiled into plugins (functions, types, layouts)
can only grow; what callers and Python plugins see (names and order of parameters, defaults) can only get easier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.contracts.semver import Version
from latebind.contracts.types import Enumeration, HandleTo, IteratorOf, ListOf, OptionalOf, Record, ResultKind
from latebind.linkplan.abi import Bump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from latebind.contracts.model import Contract, Method, Parameter


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its place (`count`, `Token.text`), both sides in words, and the bump that it needs."""

    place: str
    before: str | None
    after: str | None
    bump: Bump

    @property
    def breaks(self) -> bool:
        """Whether something that works with the old contract may not work with the new one."""
        return self.bump is Bump.MAJOR


@dataclass(frozen=True, slots=True)
class Evolution:
    """Everything that changed between two versions of a contract."""

    old: Contract
    new: Contract
    changes: tuple[Change, ...]

    @property
    def bump(self) -> Bump | None:
        """The bump that the changes need; None where nothing changed."""
        found = {change.bump for change in self.changes}
        return next((bump for bump in (Bump.MAJOR, Bump.MINOR, Bump.PATCH) if bump in found), None)

    @property
    def needed(self) -> Version:
        """The least version that the new contract may have. While the major version is 0, the minor one breaks."""
        major, minor, patch = self.old.version.core
        bump = self.bump
        if bump is None:
            return self.old.version
        if bump is Bump.PATCH or (bump is Bump.MINOR and major == 0):
            return Version(major, minor, patch + 1)
        return Version(major, minor + 1, 0) if bump is Bump.MINOR or major == 0 else Version(major + 1, 0, 0)

    @property
    def honest(self) -> bool:
        """Whether the new contract's version says at least as much as its changes."""
        return self.new.version.core >= self.needed.core


def compare(old: Contract, new: Contract) -> Evolution:
    """What changed from `old` to `new`."""
    return Evolution(old, new, tuple(_contract("", old, new)))


def _contract(place: str, old: Contract, new: Contract) -> Iterator[Change]:
    if old.id != new.id:
        yield Change(f"{place}id", old.id, new.id, Bump.MAJOR)
    if old.doc != new.doc:
        yield Change(f"{place}documentation", _brief(old.doc), _brief(new.doc), Bump.PATCH)
    for was in old.methods:
        now = new.method(was.name)
        if now is None:
            yield Change(f"{place}{was.name}", was.signature, None, Bump.MAJOR)
        else:
            yield from _method(f"{place}{was.name}", was, now)
    for now in new.methods:
        if old.method(now.name) is None:
            yield Change(f"{place}{now.name}", None, now.signature, Bump.MINOR)
    yield from _types(place, old, new)
    for handle in old.handles() if not place else ():
        other = next((h for h in new.handles() if h.id == handle.id), None)
        if other is not None:
            yield from _contract(f"{handle.id}/", handle, other)


def _method(place: str, old: Method, new: Method) -> Iterator[Change]:
    names = [p.name for p in old.parameters], [p.name for p in new.parameters]
    kinds = [spell(p.kind) for p in old.parameters], [spell(p.kind) for p in new.parameters]
    if names[0] != names[1] or kinds[0] != kinds[1]:
        before, after = (
            ", ".join(f"{n}: {k}" for n, k in zip(*side, strict=True)) or "no parameters"
            for side in zip(names, kinds, strict=True)
        )
        # Also a parameter with a default: the compiled function takes as many as it was compiled with.
        yield Change(f"{place}()", before, after, Bump.MAJOR)
    else:
        for was, now in zip(old.parameters, new.parameters, strict=True):
            yield from _parameter(f"{place}({was.name})", was, now)
    if spell(old.result) != spell(new.result):
        yield Change(f"{place} → result", spell(old.result), spell(new.result), Bump.MAJOR)
    if (old.body is None) != (new.body is None):
        words = {True: "no default body", False: "a default body"}
        # Taking it away breaks hosts: an older plugin's missing method worked until then.
        bump = Bump.MAJOR if new.body is None else Bump.MINOR
        yield Change(place, words[old.body is None], words[new.body is None], bump)
    if old.doc != new.doc:
        yield Change(f"{place}: documentation", _brief(old.doc), _brief(new.doc), Bump.PATCH)
    if old.quick != new.quick:
        yield Change(f"{place}: quick", str(old.quick), str(new.quick), Bump.PATCH)


def _parameter(place: str, old: Parameter, new: Parameter) -> Iterator[Change]:
    if old.keyword_only != new.keyword_only:
        words = {True: "keyword only", False: "by position too"}
        bump = Bump.MAJOR  # Python plugins are called in the new way, callers call in the old one
        yield Change(place, words[old.keyword_only], words[new.keyword_only], bump)
    before, after = (f"default {p.default!r}" if not p.required else "no default" for p in (old, new))
    if before != after:
        yield Change(place, before, after, Bump.MAJOR if new.required else Bump.MINOR)


def _types(place: str, old: Contract, new: Contract) -> Iterator[Change]:
    """Changes within types that both have; a type that only one has shows where it is used."""
    after: Mapping[str, Record | Enumeration] = {kind.title: kind for kind in new.types()}
    for was in old.types():
        now = after.get(was.title)
        if isinstance(was, Enumeration) and isinstance(now, Enumeration):
            yield from _members(f"{place}{was.title}", dict(was.members), dict(now.members))
        elif isinstance(was, Record) and isinstance(now, Record):
            yield from _fields(f"{place}{was.title}", was, now)


def _members(place: str, old: dict[str, int], new: dict[str, int]) -> Iterator[Change]:
    for name, number in old.items():
        if new.get(name) != number:
            yield Change(f"{place}.{name}", str(number), str(new[name]) if name in new else None, Bump.MAJOR)
    for name, number in new.items():
        if name not in old:
            yield Change(f"{place}.{name}", None, str(number), Bump.MINOR)


def _fields(place: str, old: Record, new: Record) -> Iterator[Change]:
    before, after = ({f.name: spell(f.kind) for f in record.fields} for record in (old, new))
    for name, kind in before.items():
        if after.get(name) != kind:
            yield Change(f"{place}.{name}", kind, after.get(name), Bump.MAJOR)
    for name, kind in after.items():
        if name not in before:  # it moves what follows, and makes the structure larger
            yield Change(f"{place}.{name}", None, kind, Bump.MAJOR)
    if list(before) != list(after) and set(before) == set(after):
        yield Change(place, ", ".join(before), ", ".join(after), Bump.MAJOR)
    for was, now in ((f, g) for f in old.fields for g in new.fields if f.name == g.name):
        words = [f"default {f.default!r}" if not f.required else "no default" for f in (was, now)]
        if words[0] != words[1]:
            yield Change(f"{place}.{was.name}", words[0], words[1], Bump.MAJOR if now.required else Bump.MINOR)


def spell(kind: ResultKind) -> str:
    """A type as its contract's author calls it; `compare` looks into records and enumerations by themselves."""
    if isinstance(kind, Record | Enumeration):
        return kind.title
    if isinstance(kind, ListOf):
        return f"list[{spell(kind.element)}]"
    if isinstance(kind, OptionalOf):
        return f"{spell(kind.element)} | None"
    if isinstance(kind, IteratorOf):
        return f"Iterator[{spell(kind.item)}]"
    return kind.name.removeprefix("handle[").removesuffix("]") if isinstance(kind, HandleTo) else kind.name


def _brief(doc: str) -> str:
    line = doc.partition("\n")[0]
    return line if len(line) <= 60 else line[:59] + "…"
