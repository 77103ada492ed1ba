"""What `latebind plugin new --contract` writes: a plugin that begins to implement contracts which are there already.

The contract's file is copied, since a plugin's folder is whole by itself; an installed module is named only. Every
method is there with its types and fails until it is written, and for each there is a test that says so.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.cli.places import names_contracts
from latebind.cli.scaffold import Agreed
from latebind.contracts import contract_of, cxx
from latebind.contracts.model import contract_in
from latebind.contracts.pystubs import literal, python_stubs
from latebind.contracts.schema import to_json
from latebind.contracts.stubs import c_stubs, cxx_stubs, folded, functions, opens, owners, rust_stubs, unwritten
from latebind.contracts.types import DataKind, HandleTo, IteratorOf, ListOf, OptionalOf, Record, Text
from latebind.errors import SystemFailure, Unsupported
from latebind.plugin.edges import edge_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from latebind.contracts import Contract, Method, Parameter

_TAKEN: Final = frozenset({"plugin", "test_plugin", "conftest", "pytest", "latebind", *sys.stdlib_module_names})
"""What a contract's module cannot be called: files of the plugin's own, and what would be imported instead."""

Place = tuple[str, type]
"""FILE:CLASS as it was written, and the class."""


@dataclass(frozen=True, slots=True)
class Given:
    """The contracts that a new plugin provides, and the services that it requires, with the files that have them."""

    provides: tuple[Agreed, ...]
    requires: tuple[Agreed, ...]
    files: Mapping[str, bytes]
    classes: tuple[type, ...]
    """Of `provides`."""
    services: tuple[type, ...]
    """Of `requires`."""

    def check(self, language: str) -> None:
        """Raise Unsupported for contracts that one plugin in this language cannot provide together."""
        for contract in map(contract_of, self.classes):
            if not contract.methods:
                raise _refused(contract, "it has no methods", "name the contract that the host calls")
        known: dict[str, str] = {}
        for owner, handle in owners(map(contract_of, (*self.classes, *self.services))):
            if owner.id in known:
                raise _refused(owner, f"it is named twice, as {known[owner.id]} and as a contract", "name it once")
            known[owner.id] = "a handle" if handle else "a contract"
        symbols: dict[str, str] = {}
        for owner, handle in owners(map(contract_of, self.classes)):
            for function in owner.own_functions(handle=handle):
                other = symbols.setdefault(function.symbol, owner.id)
                if other != owner.id:
                    why = f"{function.symbol} would be a function of it and of {other}"
                    raise _refused(owner, why, "make a plugin for each")
        if language in {"c++", "python"}:
            self._check_class(language)

    def _check_class(self, language: str) -> None:
        """One class implements all contracts."""
        methods: dict[str, tuple[Contract, Method]] = {}
        handles: dict[str, Contract] = {}
        for contract in map(contract_of, self.classes):
            for method in contract.methods:
                other, known = methods.setdefault(method.name, (contract, method))
                if known.parameters != method.parameters or known.result != method.result:
                    why = f"its method {method.name} and that of {other.id} differ, and one class has both"
                    raise _refused(contract, why, "make a plugin for each")
            for handle in contract.handles():
                if language == "c++" and handles.setdefault(handle.id, contract) is not contract:
                    why = (
                        f"it answers {handle.id}, as {handles[handle.id].id} does, and both would define its functions"
                    )
                    raise _refused(contract, why, "make a plugin for each")

    def names(self, language: str) -> dict[str, str]:
        """What stands for the placeholders that the contracts fill."""
        call = self._call()
        modules = dict.fromkeys(cls.__module__ for cls in (*self.classes, *self.services))
        tests = list(self._tests(modules))
        recorders = (f"{_spelled(cls)}: Recorder({_spelled(cls)})" for cls in self.services)
        services = f", services={{{', '.join(recorders)}}}" if self.services else ""
        tools = "PluginHarness, Recorder" if self.services else "PluginHarness"
        errors = "from latebind import PluginError\n" if any("PluginError" in test for test in tests) else ""
        return {
            "SUMMARY": f"Provides {' and '.join(one.id for one in self.provides)}",
            "REQUIRES": self._requirements(),
            "CALL": call,
            "MAKECALL": call.replace("$", "$$"),
            "MODULES": "\nimport ".join(modules),
            "CLASSES": ", ".join(map(_spelled, self.classes)) + services,
            "TOOLS": f"{errors}from latebind.testing import {tools}\n",
            "TESTS": "\n\n\n".join(tests),
            **self._source(language),
        }

    def _source(self, language: str) -> dict[str, str]:
        contracts = [contract_of(cls) for cls in self.classes]
        if language == "python":
            source = python_stubs(self.classes, self.services)
            imports = f"from __future__ import annotations\n\n{source.imports}"
            return {"IMPORTS": imports, "OPENED": source.classes, "PARAMETERS": source.parameters,
                    "KEEPING": source.keeping, "BODY": source.methods}  # fmt: skip
        if language == "rust":
            return _rust_source(contracts)
        if language == "c++":
            opened, body = cxx_stubs(contracts)
            bases = ", ".join(f"public {cxx.namespace(c)}::Plugin" for c in contracts)
            return {"OPENED": opened, "BODY": body, "BASES": bases}
        headers = "".join(f'#include "{one.prefix}.h"\n' for one in (*self.provides, *self.requires))
        library = "\n#include <stdlib.h>" if opens(contracts) else ""
        return {"INCLUDES": f"{headers}{library}".rstrip("\n"), "BODY": c_stubs(contracts)}

    def _requirements(self) -> str:
        """What the manifest requires; what else the contracts' files have is a comment."""
        if self.requires:
            return "requires:\n" + "".join(_requirement(one.id, one.version) for one in self.requires)
        known = {owner.id for owner, _ in owners(map(contract_of, self.classes))}
        modules = dict.fromkeys(sys.modules[cls.__module__] for cls in self.classes)
        found = (contract_in(value) for module in modules for value in vars(module).values())
        others = {c.id: str(c.version) for c in found if c is not None and c.id not in known}
        lines = "".join(f"# {_requirement(*other)}" for other in others.items())
        about = "# Other contracts of the same file. What the plugin calls of the host it requires:\n# requires:\n"
        return f"{about}{lines}" if lines else ""

    def _call(self) -> str:
        """The first method with usual arguments, as `plugin run` takes it."""
        pairs = [(cls, m) for cls in self.classes for m in contract_of(cls).methods]
        cls, method = next((pair for pair in pairs if pair[1].body is None), pairs[0])
        one = self.provides[self.classes.index(cls)]
        beside = one.file is not None and names_contracts(one.file) and self._only(method.name)
        words = [method.name, *_words(method)]
        words = words if beside else [one.place, *words, *(w for s in self.requires for w in ("--service", s.place))]
        return " ".join(map(shlex.quote, words))

    def _only(self, method: str) -> bool:
        """Whether one contract alone has the method, and one file all of them."""
        having = [cls for cls in self.classes if contract_of(cls).method(method) is not None]
        return len(having) == 1 and len({one.file for one in (*self.provides, *self.requires)}) == 1

    def _tests(self, modules: dict[str, None]) -> Iterator[str]:
        """The tests' functions. Modules of classes in their arguments are added to `modules`."""
        yield (
            "def test_the_next_build_takes_over(plugin: PluginHarness) -> None:\n"
            "    assert plugin.reload().generation == 2"
        )

        def spell(cls: type) -> str:
            modules[cls.__module__] = None
            return _spelled(cls)

        several = len(self.classes) > 1
        for cls in self.classes:
            contract = contract_of(cls)
            for method in contract.methods:
                if method.body is None:
                    name = f"{contract.prefix}_{method.name}" if several else method.name
                    yield _test(name, _spelled(cls), method, spell)


def given_contracts(provides: Sequence[Place], requires: Sequence[Place] = ()) -> Given:
    """The contracts that a command line names. Raises Unsupported for files that cannot be in a plugin's folder."""
    files: dict[str, bytes] = {}
    paths: dict[str, str] = {}
    found = [[_agreed(text, cls, files, paths) for text, cls in group] for group in (provides, requires)]
    return Given(
        tuple(found[0]), tuple(found[1]), files, tuple(cls for _, cls in provides), tuple(cls for _, cls in requires)
    )


def _agreed(text: str, cls: type, files: dict[str, bytes], paths: dict[str, str]) -> Agreed:
    """The contract of a class, and into `files` the file that has it; `paths` says where each was."""
    place, _, name = text.rpartition(":")
    contract = contract_of(cls)
    if not place.endswith(".py"):
        return Agreed(None, place, name, contract.id, str(contract.version))
    file = os.path.basename(place)
    module = file.removesuffix(".py")
    if not re.fullmatch(r"[A-Za-z_]\w*", module, re.ASCII) or module in _TAKEN:
        why = f"no module of a plugin can be called {module}"
        raise Unsupported(f"the contract file {place}", why, "call it contract.py")
    path = os.path.realpath(place)
    if paths.setdefault(file, path) != path:
        why = f"{paths[file]} has the same name, and both would be copied"
        raise Unsupported(f"the contract file {place}", why, "rename one of them")
    try:
        with open(path, "rb") as source:
            files[file] = source.read()
    except OSError as error:
        raise SystemFailure("read", error.errno or 0, place) from error
    return Agreed(file, module, name, contract.id, str(contract.version))


def _refused(contract: Contract, why: str, hint: str) -> Unsupported:
    return Unsupported(f"the contract {contract.id}", why, hint)


def _requirement(contract: str, version: str) -> str:
    return f'  - {{contract: {contract}, version: "^{version}"}}\n'


def _rust_source(contracts: Sequence[Contract]) -> dict[str, str]:
    every = [(o, [f for f in functions(o, handle=handle) if not f.optional]) for o, handle in owners(contracts)]
    written = [function for _, own in every for function in own]
    modules = sorted(owner.prefix for owner, _ in every)
    iterators = any(isinstance(f.result, IteratorOf) for f in written)
    texts = any(_is_texts(p.kind) for f in written for p in f.parameters)
    names = [p.name for f in written for p in f.parameters]
    return {
        "BODY": rust_stubs(contracts),
        "USED": modules[0] if len(modules) == 1 else f"{{{', '.join(modules)}}}",
        "TYPES": ", ".join(["Context", *["Items"] * iterators, "Result", "State", *["lb_str"] * texts]),
        "ALLOWED": "#![allow(non_snake_case)] // names of the contract\n" * any(n != n.lower() for n in names),
    }


def _is_texts(kind: DataKind) -> bool:
    """Whether Rust has `lb_str` in the type of a parameter of this kind."""
    element = kind.element if isinstance(kind, OptionalOf) else kind
    return isinstance(element, ListOf) and isinstance(element.element, Text)


def _spelled(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _usual(method: Method) -> list[tuple[Parameter, object]]:
    """Usual values of the parameters without a default. ValueError where a class refuses such fields."""
    return [(p, _value(p.kind)) for p in method.parameters if p.required]


def _value(kind: DataKind) -> object:
    if isinstance(kind, ListOf):
        return [_value(kind.element)]
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo), "such a kind is a result only"
        return _value(kind.element)
    if isinstance(kind, Record):
        with suppress(ValueError):  # it may take another value
            return kind.make([_value(f.kind) if f.required else f.default for f in kind.fields])
    return edge_values(kind)[0]


def _words(method: Method) -> Iterator[str]:
    """Usual arguments as `plugin run` takes them; none where they cannot be made."""
    try:
        usual = _usual(method)
    except ValueError:
        return
    for parameter, value in usual:
        text = _word(parameter.kind, value)
        if parameter.keyword_only:
            yield from ("--arg", f"{parameter.name}={text}")
        else:
            yield text


def _word(kind: DataKind, value: object) -> str:
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo), "such a kind is a result only"
        return _word(kind.element, value)
    if isinstance(value, bytes):
        return value.decode()
    shown = to_json(kind, value)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


def _test(name: str, cls: str, method: Method, spell: Callable[[type], str]) -> str:
    """A test that the method says what it does not do yet."""
    try:
        usual = _usual(method)
    except ValueError as error:
        return f"# {method.name}: to be tested with other values, since {' '.join(str(error).split())}"
    arguments = [f"{f'{p.name}=' if p.keyword_only else ''}{literal(p.kind, value, spell)}" for p, value in usual]
    call = folded(f"        plugin.get({cls}).{method.name}(", arguments, ")")
    return (
        f"def test_{name}(plugin: PluginHarness) -> None:\n"
        f'    with pytest.raises(PluginError, match="{unwritten(method.name)}"):\n'
        f"{call}"
    )
