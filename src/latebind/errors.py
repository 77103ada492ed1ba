"""What can go wrong, by kind and not by place.

Every error that latebind raises on purpose is a `LatebindError`. Each class carries its facts as fields; the
message is derived from them. An error that comes from outside (an `OSError`, a parser's exception) is translated
once, at the boundary where it enters, with the original as its `__cause__`.
"""

from __future__ import annotations

from latebind.value import Value, assign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self


class LatebindError(Exception):
    """The base of all of latebind's errors. Raised only through its subclasses."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the error says, by the names of its fields."""
        return {name: value for name, value in vars(self).items() if not name.startswith("__")}  # such as __notes__

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> Self:
        """The error with these `facts`: for one that comes from another process."""
        made = cls.__new__(cls)
        vars(made).update(facts)
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.facts.items())})"


class MalformedElf(LatebindError):
    """A file is not ELF, is cut off, or contradicts itself.

    Raised while bytes are read. A well-formed file that latebind cannot handle raises `Unsupported`; a file that
    does not exist raises `NotFound`.
    """

    def __init__(self, file: str, offset: int | None, what: str) -> None:
        self.file = file
        self.offset = offset
        self.what = what

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at offset {self.offset:#x}"
        return f"{self.file}: {self.what}{where}"


class Tried(Value):
    """One place that a search looked at, and why it was not taken."""

    __slots__ = ("path", "why")
    path: str
    why: str

    def __init__(self, path: str, why: str) -> None:
        assign(self, "path", path)
        assign(self, "why", why)


class NotFound(LatebindError):
    """A library, program or plugin was looked for and is nowhere.

    `tried` holds every place and why it was rejected. A symbol that is nowhere raises `UnresolvedSymbol`.
    """

    def __init__(self, name: str, needed_by: str | None = None, tried: tuple[Tried, ...] = ()) -> None:
        self.name = name
        self.needed_by = needed_by
        self.tried = tried

    def __str__(self) -> str:
        who = f", needed by {self.needed_by}" if self.needed_by else ""
        head = f"{self.name}: not found{who}"
        return "\n".join([head, *(f"  tried {t.path}: {t.why}" for t in self.tried)])


class UnresolvedSymbol(LatebindError):
    """A reference, or a name asked for, has no definition in the scope where it was looked up.

    A *library* that is nowhere raises `NotFound`. `near` is what the field of that name gets, or a function that finds
    it when it is asked for. Its arguments are its facts, without a constructor of its own: asking for a name that is
    not there should cost no more than `dlsym` does.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            symbol: str,
            version: str | None = None,
            referrer: str | None = None,
            near: tuple[str, ...] | Callable[[], tuple[str, ...]] = (),
            /,
        ) -> None: ...

    @property
    def symbol(self) -> str:
        """The name."""
        return str(self.args[0])

    @property
    def version(self) -> str | None:
        """The symbol version that was asked for, if one was."""
        return self.args[1] if len(self.args) > 1 else None

    @property
    def referrer(self) -> str | None:
        """The object that refers to it, if one does."""
        return self.args[2] if len(self.args) > 2 else None

    @property
    def near(self) -> tuple[str, ...]:
        """The names that come close."""
        near: tuple[str, ...] | Callable[[], tuple[str, ...]] = self.args[3] if len(self.args) > 3 else ()
        if callable(near):
            near = near()
            self.args = (*self.args[:3], near)
        return near

    @property
    def facts(self) -> dict[str, Any]:
        """What the error says, by the names of its fields."""
        return {"symbol": self.symbol, "version": self.version, "referrer": self.referrer, "near": self.near}

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> Self:
        """The error with these `facts`."""
        return cls(*(facts[name] for name in ("symbol", "version", "referrer", "near")))

    def __reduce__(self) -> tuple[type[UnresolvedSymbol], tuple[object, ...]]:
        return type(self), tuple(self.facts.values())

    def __str__(self) -> str:
        name = f"{self.symbol}@{self.version}" if self.version else self.symbol
        text = f"{self.referrer}: undefined symbol {name}" if self.referrer else f"undefined symbol {name}"
        return f"{text}; did you mean {', '.join(self.near)}?" if self.near else text


class ClosedLibrary(LatebindError):
    """A library handle was used after its `close`. A name that an open one does not have raises `UnresolvedSymbol`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return (
            f"{self.path}: the library was closed; load it again, or keep the handle open while its functions are used"
        )


class Unsupported(LatebindError):
    """The input is well-formed, but latebind (or this machine) cannot do what was asked with it.

    Broken input raises `MalformedElf` instead.
    """

    def __init__(self, what: str, why: str, do: str = "") -> None:
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" + (f"; {self.do}" if self.do else "")


class SystemFailure(LatebindError):
    """The operating system refused something that latebind needed: memory, a mapping, a descriptor.

    `operation` is the call that failed and `errno` its error number; where that is 0, `operation` says all. The
    `OSError`, where there was one, is the cause.
    """

    def __init__(self, operation: str, errno: int, where: str = "") -> None:
        self.operation = operation
        self.errno = errno
        self.where = where

    def __str__(self) -> str:
        import os

        reason = f" failed: {os.strerror(self.errno)}" if self.errno else ""
        return f"{self.where + ': ' if self.where else ''}{self.operation}{reason}"


class ContractError(LatebindError):
    """A contract cannot be defined, or a plugin's compiled form does not fulfil the one it claims.

    Versions that do not fit raise `VersionConflict` instead.
    """

    def __init__(self, contract: str, what: str, method: str | None = None, parameter: str | None = None) -> None:
        self.contract = contract
        self.what = what
        self.method = method
        self.parameter = parameter

    def __str__(self) -> str:
        place = self.contract + (f".{self.method}" if self.method else "")
        where = f", parameter {self.parameter}" if self.parameter else ""
        return f"{place}{where}: {self.what}"


class VersionConflict(LatebindError):
    """Two sides ask for versions that cannot both be had. `chain` lists who asked for what, outermost first."""

    def __init__(self, what: str, chain: tuple[str, ...] = ()) -> None:
        self.what = what
        self.chain = chain

    def __str__(self) -> str:
        return "\n  because ".join([self.what, *self.chain])


class CapabilityDenied(LatebindError):
    """A plugin's imports (or its manifest) ask for a capability that was not granted.

    Raised before any instruction of the plugin runs. `symbols` are the imports that imply the capability.
    """

    def __init__(self, plugin: str, capability: str, symbols: tuple[str, ...] = (), why: str = "not granted") -> None:
        self.plugin = plugin
        self.capability = capability
        self.symbols = symbols
        self.why = why

    def __str__(self) -> str:
        through = f" (implied by its import of {', '.join(self.symbols)})" if self.symbols else ""
        return f"plugin {self.plugin}: capability {self.capability!r}{through} is {self.why}"


class PluginError(LatebindError):
    """A plugin was reached and said no, or answered with something that breaks its contract.

    A plugin that ended its process raises `PluginCrashed`; one that took too long `PluginTimeout`.
    """

    breaks_contract = False
    """Whether it is the second: no words of the plugin, but a result that the contract does not allow."""

    def __init__(self, plugin: str, version: str, method: str, message: str) -> None:
        self.plugin = plugin
        self.version = version
        self.method = method
        self.message = message

    def __str__(self) -> str:
        return f"plugin {self.plugin} {self.version}, {self.method}: {self.message}"


class NotProvided(PluginError):
    """The loaded plugin was built against an older contract that does not have this method yet."""


class Problem(Value):
    """One mistake in a document: its `path` there (as `provides[0].version`) and what was `expected`."""

    __slots__ = ("path", "expected")
    path: str
    expected: str

    def __init__(self, path: str, expected: str) -> None:
        self._set(path, expected)


class ManifestError(LatebindError):
    """A manifest cannot be read or breaks its schema. `problems` holds *every* mistake, not only the first."""

    def __init__(self, file: str, problems: tuple[Problem, ...] = ()) -> None:
        self.file = file
        self.problems = problems

    def __str__(self) -> str:
        lines = [f"{self.file}: {len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the manifest"]
        return "\n".join(lines + [f"  {p.path or 'document'}: {p.expected}" for p in self.problems])


class NotTrusted(LatebindError):
    """A plugin's signature is missing, by a key that is not trusted, or not of the files that are there.

    Or a downloaded archive is not what the index says. `problems` holds each file's; a `plugin.sig` that cannot be read
    raises `ManifestError`.
    """

    def __init__(self, plugin: str, problems: tuple[Problem, ...] = ()) -> None:
        self.plugin = plugin
        self.problems = problems

    def __str__(self) -> str:
        head = f"plugin {self.plugin}: it cannot be trusted"
        return "\n".join([head, *(f"  {p.path} {p.expected}" for p in self.problems)])


class PluginTimeout(LatebindError):
    """A plugin did not do `what` (such as end its running calls) in the time that an operation on it may take.

    `seconds` is that time. Nothing was changed: what served before goes on serving. A plugin that answers with a
    failure raises `PluginError`.
    """

    def __init__(self, plugin: str, operation: str, seconds: float, what: str = "its running calls to end") -> None:
        self.plugin = plugin
        self.operation = operation
        self.seconds = seconds
        self.what = what

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.operation} waited {self.seconds:g} s for {self.what}"


class PluginSuspended(LatebindError):
    """A plugin failed `failures` times in a row, and is left alone for another `seconds`; `last` is its last failure.

    Raised in place of one more `PluginError`. When the time is over, the next attempt is let through.
    """

    def __init__(self, plugin: str, operation: str, failures: int, seconds: float, last: str) -> None:
        self.plugin = plugin
        self.operation = operation
        self.failures = failures
        self.seconds = seconds
        self.last = last

    def __str__(self) -> str:
        times = f"{self.failures} time{'s' if self.failures != 1 else ''} in a row"
        head = f"plugin {self.plugin}: cannot {self.operation}: it failed {times}"
        return f"{head} and is left alone for {self.seconds:.3g} s; the last time: {self.last}"


class CallTimeout(PluginTimeout):
    """A call was not answered within the time that its caller, or the plugin's manifest, gives it.

    Nothing can end native code that runs inline, so the call may still be under way (`Deadline` says when that is), and
    what it does to the plugin's state it does. A call whose caller gave up raises `CallCancelled`.
    """

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.operation} did not answer within {self.seconds:g} s"


class CallCancelled(LatebindError):
    """A call ended early because its caller no longer wants the answer. One that took too long: `CallTimeout`."""

    def __init__(self, plugin: str, operation: str) -> None:
        self.plugin = plugin
        self.operation = operation

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.operation} was cancelled"


class PluginCrashed(LatebindError):
    """A process in which a plugin was called ended in the middle of it. `how` is what is known of its end.

    A plugin that says itself what is wrong raises `PluginError`.
    """

    def __init__(self, plugin: str, operation: str, how: str) -> None:
        self.plugin = plugin
        self.operation = operation
        self.how = how

    def __str__(self) -> str:
        return f"plugin {self.plugin}: its process ended during {self.operation}: {self.how}"


class Overloaded(LatebindError):
    """A call was refused because as many as the host lets wait for the plugin are waiting already.

    Nothing was called. `waiting` is how many wait. Raised where the host was told to refuse; otherwise callers wait.
    """

    def __init__(self, plugin: str, waiting: int) -> None:
        self.plugin = plugin
        self.waiting = waiting

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.waiting} calls are waiting for it already"


class LifecycleError(LatebindError):
    """An operation does not fit the state that a plugin is in.

    A call after it was unloaded, the unloading of one that others need, a reload from within one of its own calls.
    A plugin that is nowhere raises `NotFound`.
    """

    def __init__(self, plugin: str, operation: str, why: str) -> None:
        self.plugin = plugin
        self.operation = operation
        self.why = why

    def __str__(self) -> str:
        return f"plugin {self.plugin}: cannot {self.operation}: {self.why}"


class DependencyCycle(LatebindError):
    """Plugins require each other in a circle, so none can be loaded before the others.

    `plugins` is the circle, its first member again at the end. Versions that do not fit raise `VersionConflict`.
    """

    def __init__(self, plugins: tuple[str, ...]) -> None:
        self.plugins = plugins

    def __str__(self) -> str:
        return f"plugins require each other in a circle: {' → '.join(self.plugins)}"


class BuildFailed(LatebindError):
    """A compiler refused a plugin's source. `command` is what was run, `output` what it printed."""

    def __init__(self, command: str, status: int, output: str) -> None:
        self.command = command
        self.status = status
        self.output = output

    def __str__(self) -> str:
        return f"{self.command}: exit status {self.status}\n{self.output.rstrip()}"
