"""The order of names in listings: strcoll(3) in the locale of the user, as nm sorts.

In the C and C.UTF-8 locales that is the order of bytes, which byte text has by itself.
"""

from __future__ import annotations

import locale
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def collation_key() -> Callable[[str], object] | None:
    """A sort key for byte text in the user's locale (LC_ALL, LC_COLLATE, LANG), or None for the order of bytes."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_COLLATE", "LANG"))
    wanted = next((name for name in names if name), "C")
    if wanted.partition(".")[0] in {"C", "POSIX"}:
        return None
    try:
        locale.setlocale(locale.LC_COLLATE, "")
    except locale.Error:  # not installed: the C library stays in the C locale
        return None
    return _key


def _key(name: str) -> tuple[str, str]:
    # The C library compares the bytes of names that the locale holds for equal.
    return locale.strxfrm(name.encode("latin-1").decode("utf-8", "surrogateescape")), name
