"""`@contract`: a Protocol class becomes a contract. The one place of latebind with decorator magic.

The class stays what it was: a type that Python plugins implement and that type checkers know. The decorator only
reads it, once, and hangs the frozen `Contract` on it, so every mistake shows when the class is defined.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import FunctionType, TracebackType
from typing import Final, Generic, NoReturn, Protocol, Self, TypeVar, get_type_hints

from latebind.contracts.annotation import SUPPORTED, UnsupportedAnnotation, kind_of, result_kind_of
from latebind.contracts.cdecl import identifiers
from latebind.contracts.marshal import check_argument
from latebind.contracts.model import ATTRIBUTE, CLOSE, OWNER, Contract, Method, Parameter, contract_in
from latebind.contracts.semver import Version
from latebind.contracts.types import Nothing, ResultKind
from latebind.errors import ContractError

_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_QUICK: Final = "__latebind_quick__"
_EMPTY: Final = inspect.Parameter.empty

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., object])


class Handle(Protocol):
    """For contracts that other contracts' methods return: such an object is closed by `with`, or by `close`.

    `class Session(Handle, Protocol)` tells type checkers so; at run time every handle has these methods.
    """

    def close(self) -> None:
        """End it. More than once does no harm; any other use afterwards is an error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def contract(id: str, *, version: str) -> Callable[[Class], Class]:  # noqa: A002 - manifests call it "id" too
    """Make a Protocol class a contract.

    `id` is reverse-dotted (`acme.tokenizer`) and names the C functions (`acme_tokenizer_count`); `version` is a
    SemVer version. Raises `ContractError` naming the method and parameter that cannot be carried over to C.
    """

    def define(cls: Class) -> Class:
        setattr(cls, ATTRIBUTE, _read(cls, id, version))
        for member in vars(cls).values():
            if isinstance(member, FunctionType):
                vars(member).setdefault(OWNER, cls)
        return cls

    return define


def quick(method: Function) -> Function:
    """Mark a method as so short that letting go of the interpreter lock would cost more than the call."""
    setattr(method, _QUICK, True)
    return method


def contract_of(cls: object) -> Contract:
    """The contract of a class that `@contract` decorated, or the contract itself; TypeError for any other object."""
    found = cls if isinstance(cls, Contract) else contract_in(cls)
    if found is None:
        raise TypeError(f"{cls!r} is not a contract: decorate a Protocol class with @latebind.contract(id, version=…)")
    return found


def _read(cls: type, contract_id: str, version: str) -> Contract:
    if not _ID.fullmatch(contract_id):
        raise ContractError(contract_id, "an id is lower-case words with dots between, such as acme.tokenizer")
    try:
        parsed = Version.parse(version)
    except ValueError as e:
        raise ContractError(contract_id, str(e)) from e
    if not getattr(cls, "_is_protocol", False):
        raise ContractError(contract_id, f"{cls.__name__} is not a Protocol: write class {cls.__name__}(Protocol)")
    methods = tuple(_method(contract_id, name, member) for name, member in _members(cls, contract_id))
    made = Contract(contract_id, parsed, methods, cls.__name__, inspect.cleandoc(cls.__doc__ or ""))
    _check_whole(made)
    return made


def _check_whole(contract: Contract) -> None:
    """What no method says by itself: two types of one name, two functions of one name, handles that close oddly."""
    titles: dict[tuple[str, str], object] = {}
    for owner in (contract, *contract.handles()):
        for kind in owner.types():
            if titles.setdefault((owner.id, kind.title), kind) != kind:
                raise ContractError(contract.id, f"two different types are called {kind.title}")
    for handle in contract.handles():
        close = handle.method(CLOSE)
        if close is not None and (close.parameters or not isinstance(close.result, Nothing)):
            raise ContractError(handle.id, "of a handle takes nothing and answers None", CLOSE)
        if handle.id == contract.id:
            raise ContractError(contract.id, "it is a handle of its own")
    seen: set[str] = set()
    for name in identifiers(contract):
        if name in seen:
            raise ContractError(contract.id, f"the C name {name} would stand for two things; rename one of them")
        seen.add(name)


def _members(cls: type, contract_id: str) -> Iterator[tuple[str, object]]:
    """The members that a person wrote, in the order of definition: inherited ones first, each in its last form."""
    names: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base in {object, Protocol, Generic, Handle}:
            continue
        for name in vars(base).get("__annotations__", {}):
            if not name.startswith("__"):
                raise ContractError(contract_id, "a contract has methods only, no attributes", name)
        names.update((n, m) for n, m in vars(base).items() if not _is_machinery(n))
    return iter(names.items())


def _is_machinery(name: str) -> bool:
    """Whether Python itself put it into the class: `__doc__`, `__init__`, `_is_protocol`, `_abc_impl`."""
    return name.startswith(("__", "_abc_", "_is_"))


def _method(contract_id: str, name: str, member: object) -> Method:
    def refuse(what: str, parameter: str | None = None) -> NoReturn:
        raise ContractError(contract_id, what, name, parameter)

    if not isinstance(member, FunctionType):
        refuse(f"a contract has plain methods only, not a {type(member).__name__}")
    if name.startswith("_"):
        refuse("the name of a method begins with a letter: what has an underscore is private")
    if not name.isascii():
        refuse("the name becomes a C name: use ASCII letters, digits and underscores")
    if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
        refuse("an async method is not supported: write it without async")
    try:
        hints = get_type_hints(member, include_extras=True)
    except NameError as e:
        refuse(f"an annotation refers to the unknown name {e.name}")
    except TypeError as e:
        refuse(f"an annotation is no type: {e}")
    declared = list(inspect.signature(member).parameters.values())
    if not declared:
        refuse("a method takes self first")
    parameters = tuple(_parameter(refuse, p, hints.get(p.name, _EMPTY)) for p in declared[1:])
    result = _result(refuse, hints.get("return", _EMPTY))
    body = None if _is_blank(member) else member
    marked = bool(getattr(member, _QUICK, False))
    return Method(name, parameters, result, inspect.cleandoc(member.__doc__ or ""), marked, body)


def _parameter(refuse: Callable[..., NoReturn], parameter: inspect.Parameter, annotation: object) -> Parameter:
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        refuse("a variable number of arguments is not supported", parameter.name)
    if annotation is _EMPTY:
        refuse(f"has no type; supported are {SUPPORTED}", parameter.name)
    try:
        kind = kind_of(annotation)
    except UnsupportedAnnotation as e:
        refuse(f"{e}; supported are {SUPPORTED}", parameter.name)
    keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    if parameter.default is _EMPTY:
        return Parameter(parameter.name, kind, keyword_only=keyword_only)
    try:
        check_argument(kind, parameter.default)
    except (TypeError, ValueError, OverflowError) as e:
        refuse(f"its default does not have its type: {e}", parameter.name)
    return Parameter(parameter.name, kind, required=False, default=parameter.default, keyword_only=keyword_only)


def _result(refuse: Callable[..., NoReturn], annotation: object) -> ResultKind:
    if annotation is _EMPTY:
        refuse(f"the result has no type; write -> None for none; supported are {SUPPORTED}")
    try:
        return result_kind_of(annotation)
    except UnsupportedAnnotation as e:
        refuse(f"the result: {e}; supported are {SUPPORTED}")


def _is_blank(function: FunctionType) -> bool:
    """Whether a body is only a docstring, `...` or `pass`: then the method has no default body.

    Such bodies all compile to "return None" and nothing else, whatever the version of Python calls its instructions.
    """
    import dis

    ignored = {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "PUSH_NULL"}
    instructions = list(dis.get_instructions(function))
    constants = [i.argval for i in instructions if i.opname in {"LOAD_CONST", "RETURN_CONST"}]
    return all(i.opname in ignored for i in instructions) and constants == [None]
