"""Reference → definition: scopes, versions, the `LinkPlan`, and its packed form."""

from latebind.linkplan.binding import Binding, How, Kind
from latebind.linkplan.format import pack
from latebind.linkplan.plan import Import, LinkPlan, PlannedObject, Surroundings, make_plan
from latebind.linkplan.roles import Role

__all__ = [
    "Binding",
    "How",
    "Import",
    "Kind",
    "LinkPlan",
    "PlannedObject",
    "Role",
    "Surroundings",
    "make_plan",
    "pack",
]
