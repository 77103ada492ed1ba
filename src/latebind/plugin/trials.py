"""Trials of a plugin: it is loaded with stand-ins for its services, and what must always go well is done to it.

A trial runs in the process that calls it, and a plugin may crash it: whoever has many gives each a process of its own,
as `latebind plugin check --run` does.
"""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from latebind.contracts import Contract, Method, contract_of
from latebind.contracts.declared import Mismatch
from latebind.contracts.model import CLOSE
from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LatebindError, PluginError
from latebind.plugin.edges import edge_arguments
from latebind.plugin.host import Host
from latebind.plugin.standin import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from latebind.plugin.manifest import Manifest
    from latebind.sandbox import Policy

START, SELFTEST, RELOAD, THREADS = "start and stop", "self-test", "reload", "many threads"
_ITEMS: Final = 100
"""So many items are taken of an iterator, which may have no end."""
_DEPTH: Final = 2
"""So deep into handles that answer handles, which may have no end either."""
_THREADS: Final = 4
_ROUNDS: Final = 50


class Report(Protocol):
    """Is told what happens, before it happens: after a crash, the last step is all that is known."""

    def step(self, text: str) -> None:
        """What is done next."""

    def finding(self, found: Mismatch) -> None:
        """Something is not as it should be."""

    def note(self, text: str) -> None:
        """Something worth telling that is no mistake."""


def trial_names(manifest: Manifest, contracts: Sequence[type]) -> list[str]:
    """The trials that a plugin can be put to: `run_trial` takes each. Methods are those of the given contracts."""
    methods = [f"{c.id}.{m.name}" for c in _provided(manifest, contracts) for m in c.methods]
    return [START, SELFTEST, RELOAD, *methods, *([THREADS] if manifest.parallel and methods else [])]


class Tryout:
    """A plugin to be tried. `contracts` are the classes that it provides or requires; `places` where others are."""

    def __init__(
        self,
        manifest: Manifest,
        policy: Policy,
        contracts: Sequence[type],
        report: Report,
        *,
        places: Sequence[str] = (),
        config: Mapping[str, object] | None = None,
    ) -> None:
        self.manifest, self.policy, self.contracts, self.report = manifest, policy, contracts, report
        self.places, self.config = places, config

    def run(self, name: str) -> None:
        """One trial of `trial_names`. Everything that a plugin can do wrong and survive is told to the report."""
        trial: Callable[[Host], None] = {
            START: self._nothing, SELFTEST: self._selftest, RELOAD: self._reload, THREADS: self._threads,
        }.get(name) or (lambda host: self._method(host, name))  # fmt: skip
        required = {r.id for r in self.manifest.requires if r.kind == "contract"}
        services = {cls: StandIn(contract_of(cls)) for cls in self.contracts if contract_of(cls).id in required}
        with Host(self.policy, services, contracts=self.contracts) as host:
            self.report.step("loading it")
            try:
                host.discover(self.manifest.folder, *self.places)
                host.load(self.manifest.id, version=f"={self.manifest.version}", config=self.config)
            except LatebindError as e:
                self._found("starting", "it starts", str(e))
                return
            trial(host)
            self.report.step("stopping it")
            for problem in host.unload(self.manifest.id):
                self._found("stopping", "it ends without a failure", str(problem))

    def _nothing(self, host: Host) -> None:
        """To have started is all."""

    def _selftest(self, host: Host) -> None:
        self.report.step("in lb_selftest")
        try:
            if not host.selftest(self.manifest.id):
                self.report.note("it has none")
        except PluginError as e:
            self._found("lb_selftest", "success", e.message)

    def _reload(self, host: Host) -> None:
        """Twice, since the second time saves what the first restored."""
        try:
            self.report.step("replacing it by itself")
            first = host.reload(self.manifest.id)
            self.report.step("replacing it by itself once more")
            second = host.reload(self.manifest.id)
        except LatebindError as e:
            self._found("reloading", "the same build takes over", str(e))
            return
        for problem in (*first.problems, *second.problems):
            self._found("unloading the old one", "it ends without a failure", str(problem))
        schema = self.manifest.state_schema
        if schema is not None and first.state is None:
            self._found("lb_save", f"a state of schema {schema}, as the manifest says", "none: it has no lb_save")
        self.report.note("no state" if first.state is None else f"{first.state} bytes of state")
        if first.lasting:
            self.report.note(f"stays in memory: {', '.join(first.lasting)}")

    def _method(self, host: Host, name: str) -> None:
        """Arguments at the edges of the types: refused or answered, but answered as the contract says."""
        wanted, _, method_name = name.rpartition(".")
        cls = next(c for c in self.contracts if contract_of(c).id == wanted)
        contract = contract_of(cls)
        method = contract.method(method_name)
        assert method is not None, "trial_names has named it"
        proxy = host.get(cast("Any", cls), plugin=self.manifest.id)
        calls, refused = self._calls(proxy, method)
        self.report.note(f"{calls} calls" + (f", {refused} refused" if refused else ""))

    def _calls(self, target: object, method: Method, depth: int = 0) -> tuple[int, int]:
        """(calls, how many of them the plugin refused). `depth` is the number of handles on the way to the target."""
        calls = refused = 0
        for arguments in self._arguments(method):
            positional, named = method.spread(arguments)
            shown = ", ".join(map(_short, arguments))
            self.report.step(f"in {method.name}({shown})")
            calls += 1
            try:
                answer = getattr(target, method.name)(*positional, **named)
                self._use(answer, method, depth)
            except PluginError as e:
                refused += 1
                if e.breaks_contract:
                    self._found(e.method, "a result as the contract says, or a failure", f"({shown}): {e.message}")
                    break
        return calls, refused

    def _arguments(self, method: Method) -> list[list[object]]:
        """The arguments to try; none where a class of the contract's takes nothing that we know of."""
        try:
            return list(edge_arguments(method))
        except ValueError as e:
            self.report.note(f"{method.name} has no arguments: {e}")
            return []

    def _use(self, answer: Any, method: Method, depth: int) -> None:
        """What was opened: items are taken, a handle's methods are called in their order, and it is closed."""
        handle = handle_in(method.result)
        if isinstance(method.result, IteratorOf):
            with closing(answer):
                for _ in islice(answer, _ITEMS):
                    pass
        elif handle is not None and answer is not None:
            with closing(answer):
                for own in handle.contract.methods if depth < _DEPTH else ():
                    if own.name != CLOSE:
                        self._calls(answer, own, depth + 1)

    def _threads(self, host: Host) -> None:
        """A plugin that says `concurrency: parallel` is called by several threads at once, with usual arguments."""
        self.report.step(f"in calls of {_THREADS} threads at once")
        provided = {c.id for c in _provided(self.manifest, self.contracts)}
        classes = [cls for cls in self.contracts if contract_of(cls).id in provided]
        proxies = {cls: host.get(cast("Any", cls), plugin=self.manifest.id) for cls in classes}
        methods = [(proxies[cls], method) for cls in classes for method in contract_of(cls).methods]
        pairs = [(proxy, method, every[0]) for proxy, method in methods if (every := self._arguments(method))]
        errors: list[LatebindError] = []

        def call() -> None:
            for proxy, method, arguments in pairs * _ROUNDS:
                positional, named = method.spread(arguments)
                try:
                    self._use(getattr(proxy, method.name)(*positional, **named), method, _DEPTH)
                except LatebindError as e:
                    if not isinstance(e, PluginError) or e.breaks_contract:
                        errors.append(e)

        threads = [threading.Thread(target=call) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for text in sorted({str(e) for e in errors}):
            self._found("calls of many threads", "answers as of one", text)

    def _found(self, what: str, expected: str, found: str) -> None:
        self.report.finding(Mismatch(what, expected, found))


def _provided(manifest: Manifest, contracts: Sequence[type]) -> list[Contract]:
    names = {p.contract for p in manifest.provides}
    return [c for c in map(contract_of, contracts) if c.id in names]


def _short(value: object) -> str:
    """A value as it is written in Python, the middle of a long one left out."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]}"
