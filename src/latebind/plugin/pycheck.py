"""Everything in which a Python plugin differs from what it should be, as far as its source tells: nothing is imported.

A class may get methods from anywhere (a base class, a decorator, `__getattr__`), so what it lacks is told only where
its source is all there is to it.
"""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING, Final

from latebind.contracts import compatible
from latebind.contracts.declared import Mismatch
from latebind.errors import SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.contracts import Contract, Method
    from latebind.plugin.manifest import Manifest

_DYNAMIC: Final = frozenset({"__getattr__", "__getattribute__"})


def source_mismatches(manifest: Manifest, contracts: Sequence[Contract]) -> tuple[Mismatch, ...]:
    """All mismatches of a Python plugin's source with its manifest and with the host's contracts.

    Raises `SystemFailure` for a module that is there and cannot be read.
    """
    return tuple(_mismatches(manifest, contracts))


def _mismatches(manifest: Manifest, contracts: Sequence[Contract]) -> Iterator[Mismatch]:
    module, _, name = manifest.entry.partition(":")
    path = _module_path(manifest.folder, module)
    if path is None:
        yield Mismatch(f"module {module}", f"{module.replace('.', '/')}.py in the plugin's folder", "no such file")
        return
    if os.path.exists(os.path.join(manifest.folder, "__init__.py")):
        yield Mismatch("the plugin's folder", "modules beside the manifest", "a package itself: it has an __init__.py")
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (SyntaxError, ValueError) as e:  # ValueError: null bytes
        yield Mismatch(f"module {module}", "Python source", str(e))
        return
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, path) from e
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    if name not in classes:
        if not _assigned(tree, name):
            yield Mismatch(f"class {name}", f"defined in {os.path.basename(path)}", "nothing of that name")
        return
    for contract in contracts:
        yield from _contract(manifest, contract, classes[name])


def _module_path(folder: str, module: str) -> str | None:
    place = os.path.join(folder, *module.split("."))
    return next((p for p in (f"{place}.py", os.path.join(place, "__init__.py")) if os.path.isfile(p)), None)


def _assigned(tree: ast.Module, name: str) -> bool:
    """Whether the module binds the name in another way: by an import (of anything, with *) or an assignment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and (node.asname or node.name) in {name, "*"}:
            return True
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
    return False


def _contract(manifest: Manifest, contract: Contract, defined: ast.ClassDef) -> Iterator[Mismatch]:
    provided = next((p for p in manifest.provides if p.contract == contract.id), None)
    if provided is None:
        return
    why = compatible(provided.version, contract.version)
    if why is not None:
        wanted = f"one that serves {contract.version}"
        yield Mismatch(f"version of {contract.id}", wanted, f"{provided.version}: {why}")
    functions = {n.name: n for n in defined.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    others = {n.id for n in ast.walk(defined) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    whole = not defined.bases and not defined.decorator_list and not _DYNAMIC.intersection(functions)
    for method in contract.methods:
        place = f"{defined.name}.{method.name}"
        if method.name not in functions:
            if whole and method.body is None and method.name not in others and provided.version == contract.version:
                yield Mismatch(place, f"def {_takes(method)}", "not defined")
            continue
        function = functions[method.name]
        if isinstance(function, ast.AsyncFunctionDef):
            yield Mismatch(place, f"def {_takes(method)}", f"async def: line {function.lineno}")
        elif not function.decorator_list and not _accepts(function.args, method):
            found = f"def {method.name}({ast.unparse(function.args)}): line {function.lineno}"
            yield Mismatch(place, f"def {_takes(method)}", found)


def _takes(method: Method) -> str:
    return f"{method.name}({', '.join(['self', *(p.name for p in method.parameters)])})"


def _accepts(arguments: ast.arguments, method: Method) -> bool:
    """Whether a call with all parameters of the method fits: by position, but for those that are keyword only."""
    positional = [*arguments.posonlyargs, *arguments.args][1:]  # without self
    by_place = [p for p in method.parameters if not p.keyword_only]
    by_name = {p.name for p in method.parameters if p.keyword_only}
    known = {a.arg for a in (*arguments.args[1:], *arguments.kwonlyargs)}
    if arguments.kwarg is None and not by_name <= known:
        return False
    if len(by_place) > len(positional):
        fits = arguments.vararg is not None
    else:
        left_over = positional[len(by_place) :]
        required = left_over[: max(0, len(left_over) - len(arguments.defaults))]
        fits = {a.arg for a in required} <= by_name
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return fits and {a.arg for a, default in pairs if default is None} <= by_name
