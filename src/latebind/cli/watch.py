"""`latebind plugin watch`: the plugin that an author works on, always in its latest form, with its state."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from _thread import start_new_thread
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from latebind.cli.boundary import SUCCESS, complain
from latebind.cli.calling import CONTEXT, call_options, worded_call
from latebind.cli.definitions import contract_class
from latebind.cli.places import contracts_beside, manifest_in
from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.cli.calling import Call
    from latebind.contracts import Deadline
    from latebind.errors import BuildFailed
    from latebind.plugin import Event, Host, Manifest
    from latebind.plugin.build import Builder

_AWAKE = 0.5  # seconds that the main thread sleeps at a time
_LOOK = 0.2  # seconds between two looks for a change while there is nothing to run yet


@click.command(context_settings=CONTEXT)
@click.argument("place", metavar="DIR")
@click.argument("words", nargs=-1, metavar="[[FILE:CLASS] METHOD [ARG...]]")
@click.option("--build", "command", metavar="COMMAND",
              help="Run this in DIR first, and again whenever a file there changes.")  # fmt: skip
@click.option("--contract", "contracts", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="A contract that a host would ask for: what does not fit it is refused.")  # fmt: skip
@click.option("--service", "services", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="Stand in for this service.")  # fmt: skip
@click.option("--config", metavar="JSON", help="The plugin's configuration.")
@call_options
@click.option("--probation/--no-probation", default=True, show_default=True,
              help="Try new code out in a process of its own first.")  # fmt: skip
def watch(
    place: str,
    words: tuple[str, ...],
    command: str | None,
    contracts: tuple[type, ...],
    services: tuple[type, ...],
    config: str | None,
    named: tuple[str, ...],
    document: str | None,
    as_json: bool,  # noqa: FBT001  (click passes options by keyword)
    probation: bool,  # noqa: FBT001
) -> int:
    """Load the plugin in DIR, and reload it with its state whenever its files change, until ^C or SIGTERM.

    With METHOD, that method of its contract is called once after the first load and after each reload, and the result
    printed: contract and arguments are those of `latebind plugin run`, and read once.

    What is wrong (the compiler's words, a refusal, a failed self-test) is told, and the last good code goes on. SIGHUP
    looks for changes at once. The plugin runs in this process with what its manifest declares: watch only what you
    trust.
    """
    try:
        settings = None if config is None else json.loads(config)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--config: {config!r} is not JSON: {error}") from error
    if (named or document is not None or as_json) and not words:
        raise click.UsageError("--arg, --args and --json go with METHOD")
    manifest = manifest_in(place)
    call = worded_call(manifest, words, named, document, contracts=contracts, services=services) if words else None
    known = dict.fromkeys([*contracts, *([call.cls] if call else [])])
    stand_ins = (*services, *(call.services if call else ()))
    if manifest.is_python:
        _importable([*known, *stand_ins, *contracts_beside(manifest)])
    session = Session(manifest, command, [*known], stand_ins, settings, call, as_json=as_json)

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # once more, and nothing is waited for: a call may never end
        # In a thread: what the main thread was doing may hold the very locks that ending needs, or those of a `Thread`.
        start_new_thread(session.end, ())

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    session.run(probation=probation)
    return SUCCESS


def _importable(classes: Sequence[type]) -> None:
    """Let Python find the modules of contracts, which a Python plugin may import: also in processes of their own."""
    for path in (sys.modules[cls.__module__].__file__ for cls in classes):
        folder = os.path.dirname(os.path.abspath(str(path)))
        if path is not None and folder not in sys.path:
            sys.path.append(folder)


class Session:
    """One run of the command, until `end` is called."""

    def __init__(
        self,
        manifest: Manifest,
        command: str | None,
        contracts: Sequence[type],
        services: Sequence[type],
        config: Any,
        call: Call | None = None,
        *,
        as_json: bool = False,
    ) -> None:
        self._manifest, self._command, self._config = manifest, command, config
        self._contracts, self._services = contracts, services
        self._call, self._as_json = call, as_json
        self._ended = threading.Event()
        self._news: SimpleQueue[None] = SimpleQueue()  # a generation to call, or the end
        self._deadline: Deadline | None = None  # of the call that is under way
        self._failure: BrokenPipeError | None = None
        self._broken = False

    def end(self) -> None:
        """End the session soon."""
        self._ended.set()
        self._news.put(None)
        self._cancel()

    def run(self, *, probation: bool) -> None:
        """Load as soon as there is something that can be loaded, then watch, and call each generation."""
        from latebind.cli.places import as_declared
        from latebind.contracts import contract_of
        from latebind.plugin import Host
        from latebind.plugin.standin import StandIn

        manifest = self._manifest
        stand_ins = {cls: StandIn(contract_of(cls)) for cls in self._services}
        with Host(as_declared(manifest), services=stand_ins, contracts=self._contracts) as host:
            host.subscribe(self._tell)
            if self._call is not None:  # in a thread of its own, so that signals and reloads do not wait for it
                threading.Thread(target=self._calling, args=(host, self._call), daemon=True).start()
            with host.reload_on(signal.SIGHUP):  # from the beginning: without a handler, SIGHUP ends a process
                if not self._load(host, manifest):
                    return
                builds = {manifest.id: self._command} if self._command is not None else {}
                with host.watch(manifest.id, builds=builds, probation=probation):
                    # Python's handlers run in this thread, and a signal that comes as it falls asleep, or to another
                    # thread, does not wake it.
                    while not self._ended.wait(_AWAKE):
                        pass
        if self._failure is not None:
            raise self._failure

    def _calling(self, host: Host, call: Call) -> None:
        """Call each generation once. A newer one, or the end, cancels a call of the one before."""
        from latebind.contracts import Deadline

        while not self._ended.is_set():
            self._news.get()
            self._deadline = deadline = Deadline()
            if not self._going_on():  # asked now, so that no cancelling is missed
                continue
            try:
                with deadline:
                    if not call.answer(host, self._manifest.id, as_json=self._as_json, go_on=self._going_on):
                        _say(f"{call.method.name}: done")
                    sys.stdout.flush()
            except BrokenPipeError as error:  # there is nobody left to print for
                self._failure = error
                self.end()
            except Exception as error:  # noqa: BLE001 - a default body of the contract can raise anything
                if not self._ended.is_set():
                    complain(error if isinstance(error, LatebindError) else f"{type(error).__name__}: {error}")

    def _going_on(self) -> bool:
        cancelled = self._deadline is not None and self._deadline.cancelled
        return not self._ended.is_set() and self._news.empty() and not cancelled

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _load(self, host: Host, manifest: Manifest) -> bool:
        """Build and load; where that fails, again after each change. False if the session ended before."""
        from latebind.plugin.build import Builder
        from latebind.plugin.fingerprint import snapshot

        builder = Builder(manifest.folder, self._command, self._built) if self._command is not None else None
        while not self._ended.is_set():
            seen = snapshot(manifest.folder)
            if builder is None or self._build(builder):
                seen = snapshot(manifest.folder)
                try:
                    host.discover(manifest.path)
                    host.load(manifest.id, config=self._config)
                    host.selftest(manifest.id)
                except LatebindError as error:
                    complain(error)
                else:
                    return True
                if any(s.loaded for s in host.plugins()):  # it was its self-test
                    return True
            while snapshot(manifest.folder) == seen and not self._ended.wait(_LOOK):
                pass
        return False

    def _build(self, builder: Builder) -> bool:
        """Build, and give up when the session ends."""

        def give_up() -> None:
            self._ended.wait()
            builder.stop()

        threading.Thread(target=give_up, daemon=True).start()
        return builder.run()

    def _built(self, seconds: float, error: BuildFailed | None) -> None:
        if error is not None:
            complain(str(error))
        elif self._broken:
            _say(f"built in {seconds:.1f} s")
        self._broken = error is not None

    def _tell(self, event: Event) -> None:
        from latebind.plugin import events

        who = f"{event.plugin} {event.version}"
        match event:
            case events.ReloadStep(step=events.Step.HOLD):
                self._cancel()  # the reload waits for it
            case events.Loaded():
                _say(f"{who}: serves (process {os.getpid()})")
                self._news.put(None)
            case events.Reloaded():
                state = "no state" if event.state is None else f"{event.state} bytes of state"
                _say(f"{who}: generation {event.generation} serves; {state}, calls held {event.held * 1000:.1f} ms")
                self._news.put(None)
            case events.RolledBack():
                complain(f"{who}: generation {event.generation} goes on, the new code failed: {event.error}")
            case events.ProbationPassed(inconclusive=text) if text:
                complain(f"{who}: {text}")
            case events.CannotUnload():
                complain(f"{who}: stays in memory: {'; '.join(event.lasting)}")
            case events.Built():
                self._built(event.seconds, event.error)
            case events.WatchFailed():
                complain(f"{who}: {event.error}")
            case _:
                pass


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
