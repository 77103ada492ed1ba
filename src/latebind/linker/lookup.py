"""A name → its address, in a list of loaded objects: what dlsym does once it knows where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind import _core
from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.symbol import SHN_ABS, STT_GNU_IFUNC, STT_TLS
from latebind.errors import Unsupported
from latebind.linker.process import tls_of
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linker.loaded import LoadedObject


class Place(NamedTuple):
    """A definition: the object that has it, its value there, its type (STT_…) and section index."""

    owner: LoadedObject
    value: int
    type: int
    section: int


def find_symbol(places: Iterable[LoadedObject], name: str, version: str | None) -> Place | None:
    """The first of `places` that defines `name`; without `version` the default one is taken (dlsym(3), dlvsym(3))."""
    for owner in places:
        found = symbol_table(owner.elf).find(name, version)
        if found is not None:
            _, _, _, value, _, info, section = found
            return Place(owner, value, info & 0xF, section)
    return None


def address_of(place: Place) -> RuntimeAddress:
    """Where it is. Of an IFUNC, what its resolver returns; of a thread-local variable, the calling thread's."""
    owner = place.owner
    if place.section == SHN_ABS:
        return RuntimeAddress(place.value)
    if place.type == STT_TLS:
        module = owner.image.tls_module if owner.image is not None else tls_of(owner.base, owner.path)[0]
        if not module:
            raise Unsupported(owner.path, "defines a thread-local variable, but has no TLS block")
        return RuntimeAddress(_core.tls_address(module, place.value))
    address = RuntimeAddress(owner.base + place.value)
    return RuntimeAddress(_core.call_resolver(address)) if place.type == STT_GNU_IFUNC else address
