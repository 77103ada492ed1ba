"""`latebind plugin watch`: the plugin that an author works on, always in its latest form, with its state."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from latebind.cli.boundary import SUCCESS, complain
from latebind.cli.definitions import contract_class
from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.errors import BuildFailed
    from latebind.plugin import Event, Host, Manifest
    from latebind.plugin.build import Builder

_LOOK = 0.2  # seconds between two looks for a change while there is nothing to run yet


@click.command()
@click.argument("place", metavar="DIR")
@click.option("--build", "command", metavar="COMMAND",
              help="Run this in DIR first, and again whenever a file there changes.")  # fmt: skip
@click.option("--contract", "contracts", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="A contract that a host would ask for: what does not fit it is refused.")  # fmt: skip
@click.option("--service", "services", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="Stand in for this service.")  # fmt: skip
@click.option("--config", metavar="JSON", help="The plugin's configuration.")
@click.option("--probation/--no-probation", default=True, show_default=True,
              help="Try new code out in a process of its own first.")  # fmt: skip
def watch(
    place: str,
    command: str | None,
    contracts: tuple[type, ...],
    services: tuple[type, ...],
    config: str | None,
    probation: bool,  # noqa: FBT001  (click passes options by keyword)
) -> int:
    """Load the plugin in DIR, and reload it with its state whenever its files change, until ^C or SIGTERM.

    What is wrong (the compiler's words, a refusal, a failed self-test) is told, and the last good code goes on. SIGHUP
    looks for changes at once. The plugin runs in this process with what its manifest declares: watch only what you
    trust.
    """
    try:
        settings = None if config is None else json.loads(config)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--config: {config!r} is not JSON: {error}") from error
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    Session(place, command, contracts, services, settings, ended).run(probation=probation)
    return SUCCESS


class Session:
    """One run of the command, until `ended` is set."""

    def __init__(
        self,
        place: str,
        command: str | None,
        contracts: Sequence[type],
        services: Sequence[type],
        config: Any,
        ended: threading.Event,
    ) -> None:
        self._place, self._command, self._config = place, command, config
        self._contracts, self._services = contracts, services
        self._ended = ended
        self._broken = False

    def run(self, *, probation: bool) -> None:
        """Load as soon as there is something that can be loaded, then watch."""
        from latebind.cli.places import as_declared, manifest_in
        from latebind.contracts import contract_of
        from latebind.plugin import Host
        from latebind.plugin.standin import StandIn

        manifest = manifest_in(self._place)
        stand_ins = {cls: StandIn(contract_of(cls)) for cls in self._services}
        with Host(as_declared(manifest), services=stand_ins, contracts=self._contracts) as host:
            host.subscribe(self._tell)
            with host.reload_on(signal.SIGHUP):  # from the beginning: without a handler, SIGHUP ends a process
                if not self._load(host, manifest):
                    return
                builds = {manifest.id: self._command} if self._command is not None else {}
                with host.watch(manifest.id, builds=builds, probation=probation):
                    self._ended.wait()

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
            case events.Loaded():
                _say(f"{who}: serves (process {os.getpid()})")
            case events.Reloaded():
                state = "no state" if event.state is None else f"{event.state} bytes of state"
                _say(f"{who}: generation {event.generation} serves; {state}, calls held {event.held * 1000:.1f} ms")
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
