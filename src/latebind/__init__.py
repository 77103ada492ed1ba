"""latebind: a dynamic linker and native-plugin host for Python. Plan, then load.

This is the public face: it re-exports and does nothing else. Each name is imported from its package when it is
first used (PEP 562), so `import latebind` costs next to nothing and a program pays for the parts that it uses.
"""

# Not typing's: importing `typing` would cost more than everything else here. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from latebind.contracts import (
        Deadline,
        Float32,
        Float64,
        Handle,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        contract,
        quick,
    )
    from latebind.elf import (
        Elf,
        read,
    )
    from latebind.errors import (
        BuildFailed,
        CallCancelled,
        CallTimeout,
        CapabilityDenied,
        ClosedLibrary,
        ContractError,
        DependencyCycle,
        LatebindError,
        LifecycleError,
        MalformedElf,
        ManifestError,
        NotFound,
        NotProvided,
        NotTrusted,
        Overloaded,
        PluginCrashed,
        PluginError,
        PluginSuspended,
        PluginTimeout,
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
        Trace,
        dl,
        link,
        load,
        plan,
        this_process,
    )
    from latebind.linkplan import (
        LinkPlan,
        Role,
    )
    from latebind.plugin import (
        Host,
    )
    from latebind.sandbox import (
        AuditLog,
        Policy,
        TrustedKey,
        TrustStore,
    )

__version__ = "0.1.0"

# Where each public name lives. tests/test_public_surface.py holds this, the imports above and `__all__` together.
_HOME = {
    "AuditLog": "latebind.sandbox",
    "BuildFailed": "latebind.errors",
    "CallCancelled": "latebind.errors",
    "CallTimeout": "latebind.errors",
    "CapabilityDenied": "latebind.errors",
    "ClosedLibrary": "latebind.errors",
    "ContractError": "latebind.errors",
    "Deadline": "latebind.contracts",
    "DependencyCycle": "latebind.errors",
    "Elf": "latebind.elf",
    "Float32": "latebind.contracts",
    "Float64": "latebind.contracts",
    "Handle": "latebind.contracts",
    "Host": "latebind.plugin",
    "Int16": "latebind.contracts",
    "Int32": "latebind.contracts",
    "Int64": "latebind.contracts",
    "Int8": "latebind.contracts",
    "LatebindError": "latebind.errors",
    "Library": "latebind.linker",
    "LifecycleError": "latebind.errors",
    "LinkPlan": "latebind.linkplan",
    "MalformedElf": "latebind.errors",
    "ManifestError": "latebind.errors",
    "Namespace": "latebind.linker",
    "NotFound": "latebind.errors",
    "NotProvided": "latebind.errors",
    "NotTrusted": "latebind.errors",
    "Overloaded": "latebind.errors",
    "PluginCrashed": "latebind.errors",
    "PluginError": "latebind.errors",
    "PluginSuspended": "latebind.errors",
    "PluginTimeout": "latebind.errors",
    "Policy": "latebind.sandbox",
    "Problem": "latebind.errors",
    "Role": "latebind.linkplan",
    "SystemFailure": "latebind.errors",
    "Trace": "latebind.linker",
    "Tried": "latebind.errors",
    "TrustStore": "latebind.sandbox",
    "TrustedKey": "latebind.sandbox",
    "UInt16": "latebind.contracts",
    "UInt32": "latebind.contracts",
    "UInt64": "latebind.contracts",
    "UInt8": "latebind.contracts",
    "UnresolvedSymbol": "latebind.errors",
    "Unsupported": "latebind.errors",
    "VersionConflict": "latebind.errors",
    "contract": "latebind.contracts",
    "dl": "latebind.linker",
    "link": "latebind.linker",
    "load": "latebind.linker",
    "plan": "latebind.linker",
    "quick": "latebind.contracts",
    "read": "latebind.elf",
    "this_process": "latebind.linker",
}

__all__ = [
    "AuditLog",
    "BuildFailed",
    "CallCancelled",
    "CallTimeout",
    "CapabilityDenied",
    "ClosedLibrary",
    "ContractError",
    "Deadline",
    "DependencyCycle",
    "Elf",
    "Float32",
    "Float64",
    "Handle",
    "Host",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "LatebindError",
    "Library",
    "LifecycleError",
    "LinkPlan",
    "MalformedElf",
    "ManifestError",
    "Namespace",
    "NotFound",
    "NotProvided",
    "NotTrusted",
    "Overloaded",
    "PluginCrashed",
    "PluginError",
    "PluginSuspended",
    "PluginTimeout",
    "Policy",
    "Problem",
    "Role",
    "SystemFailure",
    "Trace",
    "Tried",
    "TrustStore",
    "TrustedKey",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UnresolvedSymbol",
    "Unsupported",
    "VersionConflict",
    "contract",
    "dl",
    "link",
    "load",
    "plan",
    "quick",
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
