"""A contract as Python source to begin with: a class with every method, failing until its author has written it.

The types are the contract's own classes, imported from the module that defines them: a host takes no others. Also
values as source of Python, for defaults and for tests.
"""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts.model import CLOSE, contract_in
from latebind.contracts.stubs import OPTIONAL, ClassNames, folded, functions, owners, unwritten
from latebind.contracts.types import (
    FLOAT64,
    INT64,
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from latebind.contracts.model import Contract, Function, Parameter

_PLAIN: Final = {"bool": "bool", INT64.name: "int", FLOAT64.name: "float", "str": "str", "bytes": "bytes"}
_SIZED: Final = {
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32",
    "uint64": "UInt64", "float32": "Float32",
}  # fmt: skip
_OWN: Final = frozenset({"Plugin", "PluginContext", "Iterator", *_SIZED.values(), *dir(builtins)})


@dataclass(frozen=True, slots=True)
class PythonSource:
    """The parts of a module: its imports, classes before the plugin's, and what is in the plugin's."""

    imports: str
    classes: str
    parameters: str
    """Of the constructor, after the context: the services."""
    keeping: str
    """Statements of the constructor that keep them."""
    methods: str


def python_stubs(provides: Sequence[type], requires: Sequence[type] = ()) -> PythonSource:
    """The source of a plugin that provides and requires the contracts of these classes.

    A method that several contracts have alike is there once.
    """
    contracts = [_contract(cls) for cls in provides]
    around = _classes_around([*provides, *requires])
    class_names = ClassNames(_OWN)
    targets = {owner.id: class_names.handle(owner) for owner, handle in owners(contracts) if handle}
    names = _Names({*_OWN, *targets.values()}, around)
    services: dict[str, str] = {}
    for cls in requires:
        services[_variable(cls.__name__, services)] = names.of(cls)
    classes, methods = [], dict[str, str]()
    for owner, handle in owners(contracts):
        own = {f.name: _method(f, names) for f in functions(owner, handle=handle)}
        if handle:
            closing = f'    def {CLOSE}(self) -> None:\n        """End it: called once."""'
            text = "\n\n".join([*own.values(), closing])
            classes.append(f'class {targets[owner.id]}:\n    """The handle {owner.id}."""\n\n{text}\n\n\n')
        else:
            methods |= {name: text for name, text in own.items() if name not in methods}
    return PythonSource(
        names.imports(),
        "".join(classes),
        "".join(f", {name}: {cls}" for name, cls in services.items()),
        "".join(f"        self.{name} = {name}\n" for name in services),
        "\n\n".join(methods.values()),
    )


def literal(kind: DataKind, value: Any, spell: Callable[[type], str]) -> str:  # noqa: PLR0911 - one case a kind
    """A value of a kind as source. `spell` says how a class of the contract is written.

    Fields of a dataclass that have their defaults are left out.
    """
    if value is None:
        return "None"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return literal(kind.element, value, spell)
    if isinstance(kind, Enumeration):
        return f"{spell(kind.cls)}.{value.name}"
    if isinstance(kind, Record):
        pairs = [(f, getattr(value, f.name)) for f in kind.fields]
        told = [(f, of) for f, of in pairs if f.required or of != f.default]
        fields = (f"{f.name}={literal(f.kind, of, spell)}" for f, of in told)
        return f"{spell(kind.cls)}({', '.join(fields)})"
    if isinstance(kind, ListOf):
        return f"[{', '.join(literal(kind.element, item, spell) for item in value)}]"
    if isinstance(kind, Text):
        return _quoted(str.__str__(value))
    if isinstance(kind, Bytes):
        return "b" + _quoted(bytes(value))
    if kind.family == "float":
        number = float(value)
        return repr(number) if math.isfinite(number) else f'float("{number}")'
    return repr(bool(value) if kind.family == "bool" else operator.index(value))


def _quoted(value: str | bytes) -> str:
    """`repr` without the `b`, in double quotes wherever that spares a backslash or is the same to it."""
    text = repr(value).removeprefix("b")
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text


def _contract(cls: type) -> Contract:
    found = contract_in(cls)
    assert found is not None, "a class of a contract"
    return found


def _classes_around(classes: Iterable[type]) -> dict[str, type]:
    """The classes of contracts by id, as far as the modules of `classes` know them."""
    found: dict[str, type] = {}
    for cls in classes:
        for value in (*vars(sys.modules[cls.__module__]).values(), cls):
            contract = contract_in(value)
            if contract is not None:
                found[contract.id] = value
    return found


def _variable(name: str, taken: Container[str]) -> str:
    """`HostLog` as `host_log`."""
    words = "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
    found = words.replace("__", "_")
    while keyword.iskeyword(found) or found in {"self", "context"} or found in taken:
        found += "_"
    return found


class _Names:
    """The names that the source uses, and the imports that bring them."""

    def __init__(self, taken: Iterable[str], around: dict[str, type]) -> None:
        self._taken, self._around = set(taken), around
        self._found: dict[tuple[str, str], str] = {}

    def of(self, cls: type) -> str:
        """How a class is written; a nested one with the class that it is in."""
        root, dot, rest = cls.__qualname__.partition(".")
        return f"{self._imported(cls.__module__, root)}{dot}{rest}"

    def handle(self, contract: Contract) -> str:
        """How a handle's contract is written; `object` where no module here has it."""
        cls = self._around.get(contract.id)
        return "object" if cls is None else self.of(cls)

    def sized(self, name: str) -> str:
        """A number of a size."""
        self._found["latebind", name] = name
        return name

    def iterator(self) -> str:
        """`Iterator`."""
        self._found["collections.abc", "Iterator"] = "Iterator"
        return "Iterator"

    def _imported(self, module: str, name: str) -> str:
        if (module, name) not in self._found:
            chosen = name
            while chosen in self._taken:
                chosen += "Type"
            self._taken.add(chosen)
            self._found[module, name] = chosen
        return self._found[module, name]

    def imports(self) -> str:
        """The statements: those of Python, of the contracts, of latebind; a blank line before each other group."""
        groups: dict[int, dict[str, list[str]]] = {0: {}, 1: {}, 2: {}}
        for (module, name), chosen in sorted(self._found.items()):
            rank = {"collections.abc": 0, "latebind": 2}.get(module, 1)
            groups[rank].setdefault(module, []).append(name if name == chosen else f"{name} as {chosen}")
        texts = ["".join(f"from {m} import {', '.join(n)}\n" for m, n in found.items()) for found in groups.values()]
        return "\n".join(text for text in texts if text) + ("" if groups[2] or not self._found else "\n")


def _annotation(kind: ResultKind, names: _Names) -> str:
    if isinstance(kind, Scalar | Text | Bytes):
        return _PLAIN.get(kind.name) or names.sized(_SIZED[kind.name])
    if isinstance(kind, Enumeration | Record):
        return names.of(kind.cls)
    if isinstance(kind, ListOf):
        return f"list[{_annotation(kind.element, names)}]"
    if isinstance(kind, OptionalOf):
        return f"{_annotation(kind.element, names)} | None"
    if isinstance(kind, IteratorOf):
        return f"{names.iterator()}[{_annotation(kind.item, names)}]"
    return "None" if isinstance(kind, Nothing) else names.handle(kind.contract)


def _parameter(parameter: Parameter, names: _Names) -> str:
    text = f"{parameter.name}: {_annotation(parameter.kind, names)}"
    return text if parameter.required else f"{text} = {literal(parameter.kind, parameter.default, names.of)}"


def _method(function: Function, names: _Names) -> str:
    by_place = [_parameter(p, names) for p in function.parameters if not p.keyword_only]
    by_name = [_parameter(p, names) for p in function.parameters if p.keyword_only]
    parameters = ["self", *by_place, *(["*", *by_name] if by_name else [])]
    head = folded(f"    def {function.name}(", parameters, f") -> {_annotation(function.result, names)}:")
    if function.optional:
        lines = [OPTIONAL, *head.replace("\n    ", "\n").strip().removesuffix(":").split("\n")]
        return "\n".join(f"    # {line}" for line in lines)
    lines = [head, *_docstring(function.doc), f'        raise NotImplementedError("{unwritten(function.name)}")']
    return "\n".join(lines)


def _docstring(doc: str) -> list[str]:
    if not doc:
        return []
    text = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    lines = [line if not line else f"        {line}" for line in text.split("\n")]
    lines[0] = f'        """{text.partition(chr(10))[0]}'
    if len(lines) > 1:
        return [*lines, '        """']
    closing = ' """' if text.endswith('"') else '"""'
    return [f"{lines[0]}{closing}"]
