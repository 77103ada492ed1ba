"""latebind: a dynamic linker and native-plugin host for Python. Plan, then load.

This is the public face: it re-exports and does nothing else. Each name is imported from its package when it is
first used (PEP 562), so `import latebind` costs next to nothing and a program pays for the parts that it uses.
"""

# Not typing's: importing `typing` would cost more than everything else here. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from latebind.elf import Elf, read
    from latebind.errors import (
        CapabilityDenied,
        ClosedLibrary,
        ContractError,
        LatebindError,
        MalformedElf,
        ManifestError,
        NotFound,
        NotProvided,
        PluginError,
        Problem,
        SystemFailure,
        Tried,
        UnresolvedSymbol,
        Unsupported,
        VersionConflict,
    )
    from latebind.linker import (
        Library,
        Namespace,
        dl,
        load,
        plan,
        this_process,
    )
    from latebind.linkplan import LinkPlan, Role

__version__ = "0.1.0"

# Where each public name lives. tests/test_public_surface.py holds this, the imports above and `__all__` together.
_HOME = {
    "CapabilityDenied": "latebind.errors",
    "ClosedLibrary": "latebind.errors",
    "ContractError": "latebind.errors",
    "Elf": "latebind.elf",
    "LatebindError": "latebind.errors",
    "Library": "latebind.linker",
    "LinkPlan": "latebind.linkplan",
    "MalformedElf": "latebind.errors",
    "ManifestError": "latebind.errors",
    "Namespace": "latebind.linker",
    "NotFound": "latebind.errors",
    "NotProvided": "latebind.errors",
    "PluginError": "latebind.errors",
    "Problem": "latebind.errors",
    "Role": "latebind.linkplan",
    "SystemFailure": "latebind.errors",
    "Tried": "latebind.errors",
    "UnresolvedSymbol": "latebind.errors",
    "Unsupported": "latebind.errors",
    "VersionConflict": "latebind.errors",
    "dl": "latebind.linker",
    "load": "latebind.linker",
    "plan": "latebind.linker",
    "read": "latebind.elf",
    "this_process": "latebind.linker",
}

__all__ = [
    "CapabilityDenied",
    "ClosedLibrary",
    "ContractError",
    "Elf",
    "LatebindError",
    "Library",
    "LinkPlan",
    "MalformedElf",
    "ManifestError",
    "Namespace",
    "NotFound",
    "NotProvided",
    "PluginError",
    "Problem",
    "Role",
    "SystemFailure",
    "Tried",
    "UnresolvedSymbol",
    "Unsupported",
    "VersionConflict",
    "dl",
    "load",
    "plan",
    "read",
    "this_process",
]


def __getattr__(name: str) -> object:
    """Import the public name `name` from its package, and keep it. Raises AttributeError for any other name."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Also the names that are not imported yet."""
    return sorted({*globals(), *__all__})
