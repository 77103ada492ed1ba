"""A plan as a document: what it decided, in plain values that can be kept, sent, and compared with another's.

The document names objects by path and not by open files, so it outlives the files that the plan was made from.
`PlanRecord` is its form in memory; the JSON has the same fields and a `schema` number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import Unsupported
from latebind.linkplan.binding import Kind
from latebind.linkplan.roles import Role

if TYPE_CHECKING:
    from latebind.linkplan.plan import LinkPlan

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One object: how it was asked for, which file it is (`soname`: as it calls itself), how it was found."""

    name: str
    soname: str | None
    path: str
    role: str
    via: str
    why: str
    build_id: str | None
    size: int | None
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """One binding. `referrer` and `target` index `PlanRecord.objects`; `target` is None for an undefined reference."""

    referrer: int
    symbol: str
    version: str | None
    target: int | None
    kind: str
    value: int
    weak: bool
    why: str


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """What one plan decided."""

    root: str
    interpreter: str | None
    objects: tuple[ObjectRecord, ...]
    missing: tuple[str, ...]
    init_order: tuple[int, ...]
    bindings: tuple[BindingRecord, ...]

    def to_json(self) -> str:
        """The document as one line of JSON."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str, name: str = "<plan>") -> PlanRecord:
        """Read a document back. Raises `Unsupported`, naming it `name`, where it is not one of this schema."""
        try:
            document: dict[str, Any] = dict(json.loads(text))
            schema = document.pop("schema", None)
        except (ValueError, TypeError) as e:
            raise Unsupported(
                name, f"is not a plan's document: {e}", "make one with `latebind plan show --json`"
            ) from e
        if schema != SCHEMA:
            raise Unsupported(
                name, f"is a plan of schema {schema}, this latebind reads {SCHEMA}", "make the plan again"
            )
        try:
            objects = tuple(ObjectRecord(**{**o, "needs": tuple(o["needs"])}) for o in document.pop("objects"))
            bindings = tuple(BindingRecord(**b) for b in document.pop("bindings"))
            missing, order = tuple(document.pop("missing")), tuple(document.pop("init_order"))
            record = cls(objects=objects, bindings=bindings, missing=missing, init_order=order, **document)
        except (KeyError, TypeError) as e:
            raise Unsupported(name, f"is a damaged plan document: {e}", "make the plan again") from e
        indexes: list[Any] = [*(i for o in objects for i in o.needs), *order]
        indexes += [i for b in bindings for i in (b.referrer, b.target) if i is not None]
        if any(not isinstance(i, int) or not 0 <= i < len(objects) for i in indexes):
            raise Unsupported(name, "is a damaged plan document: it refers to objects that it does not list")
        return record


def record(plan: LinkPlan) -> PlanRecord:
    """The record of `plan`, with the bindings of every object in it."""
    objects = tuple(
        ObjectRecord(
            o.name, o.elf.soname, o.path, str(o.role), str(o.via), o.why, o.elf.build_id,
            o.elf.identity.size if o.elf.identity is not None else None, o.needs,
        )
        for o in plan.objects
    )  # fmt: skip
    bindings = tuple(
        BindingRecord(
            b.referrer, b.symbol, b.version, b.target, Kind(b.kind).name.lower(), b.value, b.weak, plan.why(b)
        )
        for o in plan.objects
        if o.role is Role.OWN and not o.present
        for b in plan.bindings_of(o.index)
    )
    missing = tuple(m.name for m in plan.missing)
    return PlanRecord(plan.root.path, plan.root.elf.interpreter, objects, missing, plan.init_order, bindings)
