"""How a Python plugin's class is made: what its constructor is annotated with is what it gets.

    class Plugin:
        def __init__(self, context: PluginContext, logger: Logger, words: Words | None = None) -> None: ...

A parameter that is annotated with a contract gets the service that answers to it; one with `| None` gets None where
the manifest's optional requirement is not met. The first parameter without an annotation, or one annotated with
`PluginContext`, gets the context. Anything else must have a default.
"""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from latebind.contracts import contract_of
from latebind.contracts.model import ATTRIBUTE
from latebind.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from latebind.plugin.manifest import Manifest
    from latebind.plugin.services import Service


def arguments(
    cls: Callable[..., object], manifest: Manifest, context: object, services: Mapping[str, Service]
) -> dict[str, object]:
    """What a plugin's class is to be called with, by name. `services` are those that its manifest requires.

    Raises `ContractError` naming the parameter that nothing can be given for.
    """
    hints = _hints(cls)
    given: dict[str, object] = {}
    with_context = False
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        hint, optional = _without_none(hints.get(name, parameter.empty))
        if hint is type(context) or (hint in {parameter.empty, Any} and not with_context):
            given[name], with_context = context, True
        elif hasattr(hint, ATTRIBUTE):
            found = _service(
                hint, name, manifest, services, required=not optional and parameter.default is parameter.empty
            )
            if found is not None or parameter.default is parameter.empty:
                given[name] = found
        elif parameter.default is parameter.empty:
            what = "is annotated with no contract and has no default, so nothing can be given for it"
            raise ContractError(manifest.id, f"its class's parameter {name} {what}", "__init__", name)
    return given


def _service(
    hint: Any, name: str, manifest: Manifest, services: Mapping[str, Service], *, required: bool
) -> object | None:
    contract = contract_of(hint).id
    if contract in services:
        return services[contract].implementation
    asked = next((r for r in manifest.requires if r.kind == "contract" and r.id == contract), None)
    if asked is None:
        what = f"its class wants {contract}, which its manifest does not require"
    elif required:
        what = f"{contract} is optional in its manifest and absent; annotate the parameter with `| None`"
    else:
        return None
    raise ContractError(manifest.id, what, "__init__", name)


def _hints(cls: Any) -> Mapping[str, Any]:
    """The constructor's annotations; one whose names are not there at run time (TYPE_CHECKING) counts as none."""
    constructor = cls.__init__
    if not isinstance(constructor, types.FunctionType):
        return {}
    found: dict[str, Any] = {}
    for name, annotation in constructor.__annotations__.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(NameError, AttributeError):
            found |= typing.get_type_hints(holder, globalns=constructor.__globals__)
    return found


def _without_none(hint: Any) -> tuple[Any, bool]:
    """`X | None` as X, and whether it was that."""
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        others = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(others) == 1:
            return others[0], True
    return hint, False
