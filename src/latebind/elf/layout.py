"""Where a plain file's tables are, as the core reads them: what planning wants to know of each object."""

from __future__ import annotations

from typing import NamedTuple

type_of_layout = tuple[
    tuple[int, int, int, int, int, int, int, int, int, int], tuple[tuple[int, int, bool], ...], bytes, bytes, bytes, int
]


class Layout(NamedTuple):
    """Where a plain file's tables are (src/core/layout.c): everything that packing a plan wants to know of it."""

    tables: tuple[int, int, int, int, int, int, int, int, int, int]
    relocations: tuple[tuple[int, int, bool], ...]
    record: bytes
    """Its struct lb_plan_object, as far as the file says."""
    segments: bytes
    build_id: bytes
    stack_flags: int
    """The flags of PT_GNU_STACK; -1 without one."""

    @property
    def has_tls(self) -> bool:
        """Whether there is a PT_TLS: the record then ends with its alignment."""
        return self.record[-8:] != bytes(8)
