"""For the tests of plugins and of hosts: compile a plugin, load it with everything allowed, fake its services.

These are the fakes that latebind's own tests use. Nothing here is for production: `everything_allowed` trusts any
plugin with the whole process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Final

from latebind.contracts import contract_of, header
from latebind.contracts.types import Nothing
from latebind.errors import BuildFailed, SystemFailure
from latebind.sandbox import Policy
from latebind.sandbox.capability import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts import Method

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


class Recorder:
    """A fake service: it has every method of a contract, remembers each call and answers what it was told to.

    `answers` maps method names to a value, or to an exception to raise, or to a function of the arguments. A method
    with a result that has no answer raises AssertionError.
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
        def call(*arguments: object) -> object:
            self.calls.append((method.name, arguments))
            if method.name not in answers:
                assert isinstance(method.result, Nothing), f"the test gives no answer for {method.name}{arguments}"
                return None
            answer = answers[method.name]
            if isinstance(answer, BaseException):
                raise answer
            return answer(*arguments) if callable(answer) else answer

        return call
