"""Name → file: ld.so's search order, its cache, hwcaps, $ORIGIN, and the closure of DT_NEEDED."""

from latebind.search.cache import LoaderCache
from latebind.search.closure import Closure, Found, Missing, Resident, find_closure, locate
from latebind.search.environment import Environment
from latebind.search.files import Files
from latebind.search.rules import Via

__all__ = [
    "Closure",
    "Environment",
    "Files",
    "Found",
    "LoaderCache",
    "Missing",
    "Resident",
    "Via",
    "find_closure",
    "locate",
]
