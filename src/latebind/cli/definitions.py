"""`FILE:CLASS` on the command line: the contract class of that name in a Python file or an importable module."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import CodeType, ModuleType


def contract_class(text: str) -> type:
    """The class that `contract.py:Tokenizer`, or `acme.contracts:Tokenizer` for a module, names.

    The file is executed as Python executes any module it imports, so it is trusted as code. What names no contract
    is a usage error: raises click.BadParameter.
    """
    from latebind.contracts import contract_of

    place, separator, name = text.rpartition(":")
    if not separator or not place or not name:
        raise click.BadParameter(f"{text!r} names no class; write FILE:CLASS, as in contract.py:Tokenizer")
    try:
        found = getattr(_imported(place), name)
        contract_of(found)
    except AttributeError as error:
        raise click.BadParameter(f"{place} has no class {name}") from error
    except TypeError as error:
        raise click.BadParameter(str(error)) from error
    assert isinstance(found, type), "contract_of takes classes only"
    return found


def contract_place(text: str) -> tuple[str, type]:
    """`FILE:CLASS` as it was written, and its class."""
    return text, contract_class(text)


def contract_classes(path: str) -> list[type]:
    """Every contract class that a Python file defines or imports, in its order. It is executed; raises as above."""
    from latebind.contracts.model import ATTRIBUTE

    classes = [value for value in vars(_imported(path)).values() if isinstance(value, type)]
    return [cls for cls in dict.fromkeys(classes) if ATTRIBUTE in vars(cls)]


def _imported(place: str) -> ModuleType:
    """The module. What goes wrong in it is a mistake on the command line: raises click.BadParameter."""
    from latebind.errors import LatebindError

    try:
        return _module(place)
    except (LatebindError, OSError, ImportError, SyntaxError) as error:
        raise click.BadParameter(f"{place} cannot be imported: {error}") from error
    except Exception as error:
        raise click.BadParameter(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


contract_class.__name__ = contract_place.__name__ = "FILE:CLASS"  # what click shows in usage and errors


class _Source(SourceFileLoader):
    """Compiles the file each time.

    Python knows byte code as stale by the source's size and the second in which it was changed (The import system,
    "Cached bytecode invalidation"): a version that is edited and compared at once would be the one before.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The code of the file as it is now; none is kept."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        return import_module(place)
    if not os.path.isfile(place):
        raise FileNotFoundError("there is no such file")
    name = os.path.basename(place).removesuffix(".py")
    if name in sys.stdlib_module_names:  # others would get the contract's when they import Python's
        raise ImportError("Python has a module of that name; call it contract.py")
    known = sys.modules.get(name)
    if known is not None and known.__spec__ is not None and known.__spec__.origin == place:
        return known  # two classes of one file are of one module
    spec = spec_from_file_location(name, place, loader=_Source(name, place))
    assert spec is not None, "it has a loader"
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # annotations are resolved through it
    spec.loader.exec_module(module)
    return module
