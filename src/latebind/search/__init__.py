"""Name → file: ld.so's search order, its cache, hwcaps, $ORIGIN, and the closure of DT_NEEDED.

Everything here reads files through `latebind.elf.summary` and imports nothing heavy: `latebind deps` starts with it.
"""

from latebind.search.cache import LoaderCache
from latebind.search.closure import Closure, Found, Missing, Place, Resident, find_closure, locate
from latebind.search.environment import Environment
from latebind.search.files import Files
from latebind.search.fresh import fresh_closure
from latebind.search.graph import Below, Fresh, Node
from latebind.search.rules import Via

__all__ = [
    "Below",
    "Closure",
    "Environment",
    "Files",
    "Found",
    "Fresh",
    "LoaderCache",
    "Missing",
    "Node",
    "Place",
    "Resident",
    "Via",
    "find_closure",
    "fresh_closure",
    "locate",
]
