"""Probation: new code is loaded, started, tested and stopped in a process of its own before it may serve.

What crashes, hangs or fails its self-test there never comes near the host. The process is a fresh Python with nothing
of the host in it; services are stand-ins (standin.py), so a plugin that fails after one had to invent an answer is
given the benefit of the doubt. It is no sandbox: it protects the host from mistakes, not from malice.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Final

from latebind import errors
from latebind.errors import LatebindError, PluginError, PluginTimeout, SystemFailure, Unsupported
from latebind.plugin import portable
from latebind.plugin.check import Surroundings
from latebind.plugin.generate import generate, stage
from latebind.plugin.manifest import Manifest, read_manifest
from latebind.plugin.services import Service
from latebind.plugin.standin import StandIn
from latebind.plugin.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from latebind.plugin.probation import main; main()"
)
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_SAID: Final = 2000  # characters of what it printed that are shown


@dataclass(frozen=True, slots=True)
class Probation:
    """How it went: the seconds that it took, whether there is a self-test, `whole` of the copy that was tried.

    `inconclusive` is empty, or says which failure was not held against the plugin, and why.
    """

    seconds: float
    selftest: bool
    whole: str
    inconclusive: str = ""


def try_out(
    manifest: Manifest, around: Surroundings, config: Mapping[str, object], store: str, limit: float | None
) -> Probation:
    """Load a plugin in a process of its own, and run its lb_init, lb_selftest and lb_fini.

    Raises what it failed with: the error itself, `PluginError` for a crash, `PluginTimeout` after `limit` seconds;
    `Unsupported` where the host's contracts cannot be told to another process.
    """
    begun = time.monotonic()
    status, lines, printed = _run(_task(manifest, around, config, store), manifest, limit)
    report = _Report.read(lines)
    error = report.error or _death(manifest, report, status, printed)
    if error is None:
        return Probation(time.monotonic() - begun, report.selftest, report.whole)
    if isinstance(error, PluginError) and report.asked and report.error is not None:
        why = f"{error}; but the stand-in for {report.asked} had to invent an answer"
        return Probation(time.monotonic() - begun, report.selftest, report.whole, why)
    error.add_note("on probation, in a process of its own; the host's was not touched")
    raise error


def _task(manifest: Manifest, around: Surroundings, config: Mapping[str, object], store: str) -> bytes:
    """What `main` reads. Raises `Unsupported` for what cannot be told to another process."""
    policy = around.policy
    grants = {plugin: tuple(capabilities) for plugin, capabilities in policy.grants.items()}
    try:
        return pickle.dumps(
            {
                "manifest": manifest.path,
                "policy": replace(policy, grants=grants, inline=tuple(policy.inline)),
                "contracts": portable.pack(around.contracts),
                "services": portable.pack(s.contract for s in around.services.values()),
                "config": dict(config),
                "store": store,
            }
        )
    except (pickle.PicklingError, TypeError, AttributeError) as e:
        why = f"the host's contracts or its policy cannot be told to another process: {e}"
        raise Unsupported(f"probation of {manifest}", why, "reload without it") from e


@dataclass(slots=True)
class _Report:
    """What the process told, line by line."""

    stage: str = "start"
    whole: str = ""
    selftest: bool = False
    asked: str = ""
    done: bool = False
    error: LatebindError | None = None

    @classmethod
    def read(cls, lines: list[str]) -> _Report:
        made = cls()
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            if "error" in said:
                made.error = _rebuilt(said["error"], said["fields"])
            else:
                for name, value in said.items():
                    setattr(made, name, value)
        return made


def _run(task: bytes, manifest: Manifest, limit: float | None) -> tuple[int, list[str], str]:
    """Run the process; its exit status, the lines that it told us, and what else it printed."""
    reading, writing = os.pipe()
    with open(reading, "rb") as told, tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as given:
        given.write(task)
        given.seek(0)
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(writing)]
        try:
            child = subprocess.Popen(
                command, stdin=given, stdout=printed, stderr=printed, pass_fds=[writing], start_new_session=True
            )  # fmt: skip
        except OSError as e:
            raise SystemFailure("start a process", e.errno or 0, sys.executable) from e
        finally:
            os.close(writing)
        try:
            in_time = _ended(child.pid, limit)
        finally:
            # With what it started, also when we are interrupted. It is not reaped yet, so the number is still its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
        lines = _whole_lines(told)
        if not in_time:
            raise PluginTimeout(manifest.id, "probation", limit or 0, f"{_Report.read(lines).stage} to return")
        return status, lines, _tail(printed)


def _ended(pid: int, limit: float | None) -> bool:
    """Whether a child ends within so many seconds; it stays to be reaped."""
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if limit is None else limit * 1000))
    finally:
        os.close(fd)


def _whole_lines(file: IO[bytes]) -> list[str]:
    # Without waiting: whoever the process started and let go may hold the other end.
    os.set_blocking(file.fileno(), False)
    data = file.read() or b""
    return data.decode("utf-8", "replace").split("\n")[:-1]


def _tail(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")[-_SAID:].strip()


def _death(manifest: Manifest, report: _Report, status: int, printed: str) -> LatebindError | None:
    """The error of a process that did not come to its end."""
    if report.done and status == 0:
        return None
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
    said = f"; it printed:\n{printed}" if printed else ""
    return PluginError(manifest.id, str(manifest.version), report.stage, f"the process {how}{said}")


def _rebuilt(name: str, fields: dict[str, Any]) -> LatebindError:
    kind: type[LatebindError] = getattr(errors, name)
    return kind.of_facts({key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def main() -> None:
    """The process on probation: reads its task from standard input, tells how it goes by the descriptor in argv[2]."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a host that is killed leaves nobody behind
    task = pickle.load(sys.stdin.buffer)  # noqa: S301 - what our own parent process wrote
    channel = int(sys.argv[2])
    os.set_inheritable(channel, False)  # noqa: FBT003 - it takes no keyword

    def tell(**said: object) -> None:
        os.write(channel, json.dumps(said).encode() + b"\n")

    try:
        _live(task, tell)
        tell(done=True)
    except LatebindError as e:
        tell(error=type(e).__name__, fields=_plain_fields(e))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # what the plugin left behind (threads, atexit) is no longer ours to run


def _live(task: dict[str, Any], tell: Any) -> None:
    manifest = read_manifest(task["manifest"])
    contracts = portable.unpack(task["contracts"])
    services = {
        c.id: Service(c, StandIn(c, asked=lambda name: tell(asked=name))) for c in portable.unpack(task["services"])
    }
    staged = stage(manifest, task["policy"], Store(task["store"]))
    tell(stage="load", whole=staged.stored.whole)
    around = Surroundings(contracts, services, task["policy"])
    made = generate(manifest, staged, around, task["config"], 1, lambda: tell(stage="start"))
    tell(stage="lb_selftest")
    tell(selftest=made.selftest())
    tell(stage="lb_fini")
    for problem in made.close():
        raise problem


def _plain_fields(error: LatebindError) -> dict[str, object]:
    """An error's facts as JSON has them: what is no text, number or list of those is told by its text."""
    plain: dict[str, object] = json.loads(json.dumps(error.facts, default=str))
    return plain
