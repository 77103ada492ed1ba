"""The machines that objects can be linked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.linkplan.static.aarch64 import AARCH64
from latebind.linkplan.static.x86_64 import X86_64

if TYPE_CHECKING:
    from latebind.linkplan.static.machine import Target

TARGETS: Final[dict[int, Target]] = {target.number: target for target in (X86_64, AARCH64)}
"""By e_machine."""
