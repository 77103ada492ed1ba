"""Reference → definition: scopes, versions, the `LinkPlan`, and its packed form."""

from latebind.linkplan.binding import Binding, Definition, How, Kind
from latebind.linkplan.diff import Change, Difference, PlanDiff, compare
from latebind.linkplan.document import PlanRecord, record
from latebind.linkplan.format import pack
from latebind.linkplan.making import Surroundings, make_plan
from latebind.linkplan.plan import Import, LinkPlan, PlannedObject
from latebind.linkplan.prepared import PreparedObject, PreparedPlan, prepare
from latebind.linkplan.roles import Role

__all__ = [
    "Binding",
    "Change",
    "Definition",
    "Difference",
    "How",
    "Import",
    "Kind",
    "LinkPlan",
    "PlanDiff",
    "PlanRecord",
    "PlannedObject",
    "PreparedObject",
    "PreparedPlan",
    "Role",
    "Surroundings",
    "compare",
    "make_plan",
    "pack",
    "prepare",
    "record",
]
