"""The versions that the objects of a list need from each other, as ld.so checks them and `ldd -v` shows them.

Glibc's elf/dl-version.c (`_dl_check_map_versions`) and the end of elf/rtld.c's `dl_main`.
"""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING

from latebind.compat.output import path_text
from latebind.elf.symbol_rows import byte_text
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.elf.version import VersionDefinition, VersionNeed
    from latebind.search import Found


def version_problems(members: Sequence[Found], program: str, *, debugging: bool = False) -> Iterator[str]:
    """One line for each version that is needed and not there. `program` is what the first member is called.

    With LD_DEBUG ld.so says it twice, the first time with a process's number, which is ours here (`debugging`).
    """
    providers = _providers(members)
    for member in members:
        for need in _needs(member):
            provider = providers.get(need.file)
            problem = None if provider is None else _problem(provider, need)
            if provider is not None and problem is not None:
                who = program if member is members[0] else path_text(member.path)
                what = f"{problem} (required by {who})"
                if debugging:
                    where = path_text(provider.path)
                    yield f"{os.getpid():10}:\t{where}: error: version lookup error: {what} (continued)\n"
                yield f"{program}: {path_text(provider.path)}: {what}\n"


def version_information(members: Sequence[Found], program: str) -> Iterator[str]:
    """What `ldd -v` prints behind the list: each member's needs, and where each is met."""
    providers = _providers(members)
    shown = [member for member in members if _needs(member)]
    if shown:
        yield "\n\tVersion information:\n"
    for member in shown:
        yield f"\t{program if member is members[0] else path_text(member.path)}:\n"
        for file, needs in groupby(_needs(member), key=lambda need: need.file):
            provider = providers.get(file)
            for need in needs:
                met = provider is not None and any(d.name == need.name for d in _definitions(provider))
                where = path_text(provider.path) if provider is not None and met else "not found"
                weak = "[WEAK] " if need.weak else ""
                yield f"\t\t{byte_text(file)} ({byte_text(need.name)}) {weak}=> {where}\n"


def _providers(members: Sequence[Found]) -> dict[str, Found]:
    """Name → the first member that answers to it."""
    providers: dict[str, Found] = {}
    for member in members:
        for name in (member.path, member.name, *member.names, member.elf.soname):
            if name:
                providers.setdefault(name, member)
    return providers


def _needs(member: Found) -> tuple[VersionNeed, ...]:
    try:
        return member.elf.version_needs
    except MalformedElf:
        return ()  # ld.so would crash on such a table; there is nothing to compare with


def _definitions(member: Found) -> Sequence[VersionDefinition]:
    try:
        return member.elf.version_definitions
    except MalformedElf:
        return ()


def _problem(provider: Found, need: VersionNeed) -> str | None:
    definitions = _definitions(provider)
    if not definitions:
        return "no version information available"
    if any(d.name == need.name for d in definitions):
        return None
    return f"{'weak ' if need.weak else ''}version `{byte_text(need.name)}' not found"
