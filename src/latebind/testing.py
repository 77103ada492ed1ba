"""For the tests of plugins and of hosts: compile a plugin, load it without a host program, fake its services.

`PluginHarness` is for a plugin's author, `Recorder` for everyone. These are the fakes that latebind's own tests use.
Nothing here is for production: `everything_allowed` trusts any plugin with the whole process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from latebind.contracts import contract_of, header
from latebind.contracts.types import IteratorOf, Nothing, OptionalOf
from latebind.elf import read
from latebind.errors import BuildFailed, NotFound, SystemFailure, Tried
from latebind.plugin import Host, read_manifest
from latebind.plugin.conformity import mismatches
from latebind.plugin.manifest import find_manifest
from latebind.sandbox import Policy
from latebind.sandbox.capability import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from latebind.contracts import Method
    from latebind.plugin import ReloadReport

T = TypeVar("T")

FLAGS: Final = ("-std=c99", "-O2", "-g", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden", "-shared")
"""What `compile_plugin` gives the compiler, before the caller's own flags."""


def everything_allowed() -> Policy:
    """A policy that signs every plugin off to run in the host's process, with every capability."""
    return Policy(grants={"*": sorted(KINDS)}, inline=["*"])


def write_headers(folder: str | os.PathLike[str], contracts: Sequence[object]) -> None:
    """Write the C header of each contract class to `folder`: `acme_tokenizer.h` for `acme.tokenizer`."""
    for cls in contracts:
        contract = contract_of(cls)
        path = os.path.join(folder, f"{contract.prefix}.h")
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(header(contract))
        except OSError as e:
            raise SystemFailure("write", e.errno or 0, path) from e


def compile_plugin(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    contracts: Sequence[object] = (),
    *,
    flags: Sequence[str] = (),
    compiler: str | None = None,
) -> None:
    """Compile one C file to a plugin's shared object.

    The headers of `contracts` are written beside `output`, where the source's `#include` finds them. `compiler` is a
    command, `$CC` or `cc` unless given. The output appears whole or not at all. Raises `BuildFailed` with the
    compiler's words, or `SystemFailure` without a compiler.
    """
    target = os.fspath(output)
    folder = os.path.dirname(os.path.abspath(target))
    write_headers(folder, contracts)
    draft = f"{target}.new"
    command = shlex.split(compiler or os.environ.get("CC", "") or "cc")
    command += [*FLAGS, "-I", folder, "-o", draft, os.fspath(source), *flags]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as e:
        raise SystemFailure("run the compiler", e.errno or 0, command[0]) from e
    if run.returncode:
        raise BuildFailed(shlex.join(command), run.returncode, run.stderr)
    os.replace(draft, target)


class PluginHarness:
    """A plugin under test: built, checked and loaded without a host program. A context manager.

    `folder` holds the plugin's manifest; where there is a Makefile, `make` brings the plugin up to date first (with
    `targets`), unless `build` is false. `contracts` are those that it provides, as the host would have them, and
    `services` maps contract classes to objects, such as a `Recorder`, that it may call. It may do what its manifest
    declares and nothing else.

    Making one raises `BuildFailed` with the output of make, AssertionError with every mismatch between the compiled
    plugin, its manifest and the contracts, and whatever a host raises that refuses the plugin.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *contracts: object,
        services: Mapping[Any, object] | None = None,
        config: Mapping[str, object] | None = None,
        build: bool = True,
        targets: Sequence[str] = (),
    ) -> None:
        self.folder = os.fspath(folder)
        self._contracts = contracts
        if build and os.path.exists(os.path.join(self.folder, "Makefile")):
            run_make(self.folder, targets)
        path = find_manifest(self.folder)
        if path is None:
            tried = Tried(self.folder, "has no plugin.yaml, plugin.json or plugin.toml")
            raise NotFound(f"a manifest in {self.folder}", None, (tried,))
        self.manifest = read_manifest(path)
        self.check()
        declared = [str(c) for c in self.manifest.capabilities]
        policy = Policy(grants={self.manifest.id: declared}, inline=[self.manifest.id])
        self._host = Host(policy, services, contracts=contracts)
        try:
            self._host.discover(self.folder)
            self._host.load(self.manifest.id, version=f"={self.manifest.version}", config=config)
        except BaseException:
            self._host.close()
            raise

    def check(self) -> None:
        """Compare the compiled plugin with its manifest and the contracts. AssertionError names every mismatch."""
        if self.manifest.is_python:
            return
        found, _ = mismatches(self.manifest, read(self.manifest.entry_path), [contract_of(c) for c in self._contracts])
        if found:
            raise AssertionError("\n".join([f"{self.manifest} is not what it should be:", *map(str, found)]))

    def get(self, contract: Callable[..., T]) -> T:
        """The plugin by one of its contracts: call its methods."""
        return self._host.get(contract, plugin=self.manifest.id)

    def selftest(self) -> bool:
        """Run its lb_selftest; whether it has one. Raises `PluginError` with what it says is wrong."""
        return self._host.selftest(self.manifest.id)

    def reload(self) -> ReloadReport:
        """Load it anew beside itself and hand its state over, as a host does with the next build."""
        return self._host.reload(self.manifest.id)

    def close(self) -> None:
        """Stop it and unload it. AssertionError with what went wrong on the way: lb_fini, or a handle's close."""
        loaded = any(p.id == self.manifest.id and p.loaded for p in self._host.plugins())
        problems = self._host.unload(self.manifest.id) if loaded else ()
        self._host.close()
        if problems:
            raise AssertionError("\n".join([f"unloading {self.manifest}:", *map(str, problems)]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except AssertionError as e:
            if error is None:
                raise
            error.add_note(str(e))  # the test's own failure is the one to see


def run_make(folder: str, targets: Sequence[str] = ()) -> None:
    """Run make in a plugin's folder, with the `latebind` and `python3` of this interpreter first on the path.

    Raises `BuildFailed` with what it printed, `SystemFailure` where there is no make.
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    command = ["make", "--no-print-directory", "-C", folder, *targets]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path, "MAKEFLAGS": ""}
        )
    except OSError as e:
        raise SystemFailure("run make", e.errno or 0, folder) from e
    if run.returncode:
        raise BuildFailed(shlex.join(command), run.returncode, run.stdout + run.stderr)


class Recorder:
    """A fake service: it has every method of a contract, remembers each call and answers what it was told to.

    `answers` maps method names to a value, or to an exception to raise, or to a function of the arguments. A method
    with a result that has no answer raises AssertionError. A method that answers a handle is given a Recorder of the
    handle's contract; one that answers an iterator any iterable.
    """

    def __init__(self, contract: object, **answers: object) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        """(method, arguments) of each call, in order."""
        methods = contract_of(contract).methods
        unknown = answers.keys() - {m.name for m in methods}
        if unknown:
            raise TypeError(f"{contract_of(contract).id} has no method {', '.join(sorted(unknown))}")
        for method in methods:
            setattr(self, method.name, self._method(method, answers))

    def _method(self, method: Method, answers: dict[str, object]) -> Callable[..., object]:
        names = [p.name for p in method.parameters]

        def call(*arguments: object, **named: object) -> object:
            arguments += tuple(named[name] for name in names[len(arguments) :] if name in named)
            self.calls.append((method.name, arguments))
            if method.name not in answers:
                empty = isinstance(method.result, Nothing | OptionalOf)
                assert empty, f"the test gives no answer for {method.name}{arguments}"
                return None
            answer = answers[method.name]
            if isinstance(answer, BaseException):
                raise answer
            made: Any = answer(*arguments) if callable(answer) else answer
            return iter(made) if isinstance(method.result, IteratorOf) else made

        return call
