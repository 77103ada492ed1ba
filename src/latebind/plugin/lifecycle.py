"""The life cycle: where each plugin of a host stands, why, and everyone told of it.

The host does things and says so here; from here go the events, and what `Host.plugins()` shows.
A plugin that fails is back where it was, with the reason kept, and the breaker counts it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from latebind.errors import LatebindError, PluginError, PluginTimeout
from latebind.plugin.breaker import BackOff, Breaker, GuardedGeneration
from latebind.plugin.events import (
    CannotUnload,
    Events,
    Loaded,
    LoadFailed,
    ManifestRejected,
    ProbationPassed,
    Reloaded,
    ReloadStep,
    RequirementSkipped,
    Resumed,
    RolledBack,
    SignatureVerified,
    State,
    StateChanged,
    Step,
    Suspended,
    Unloaded,
    detached,
)
from latebind.plugin.fingerprint import Fingerprint, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.probation import Probation
    from latebind.plugin.registry import Rejected
    from latebind.plugin.reload import ReloadReport
    from latebind.sandbox import TrustedKey


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a plugin stands; `reason` says why not further, or what it goes without."""

    state: State = State.DISCOVERED
    reason: str = ""


class Lifecycle:
    """The states of one host's plugins. Its methods are called under the host's lock."""

    def __init__(self, events: Events, policy: BackOff) -> None:
        self._events, self._policy = events, policy
        self._standings: dict[str, Standing] = {}
        self._starts: dict[str, Breaker] = {}
        self._calls: dict[str, Breaker] = {}
        self._tried: dict[str, Fingerprint] = {}  # what was last loaded, or tried in vain

    def standing(self, plugin: str) -> Standing:
        """Where a plugin stands, with what the breakers say."""
        known = self._standings.get(plugin, Standing())
        for breaker in (self._starts.get(plugin), self._calls.get(plugin)):
            if breaker is not None and breaker.remaining:
                what = f"suspended for {breaker.remaining:.3g} s after {breaker.failures} failures in a row"
                return replace(known, reason=f"{what}: {known.reason}" if known.reason else what)
        return known

    def move(self, manifest: Manifest, after: State, generation: int = 0, reason: str = "") -> None:
        """A plugin goes to a state."""
        known = self._standings.get(manifest.id)
        before = known.state if known is not None else None
        self._standings[manifest.id] = Standing(after, reason)
        if before is not after:
            about = _about(manifest, generation)
            self._events.emit(StateChanged(**about, before=before, after=after, reason=reason))

    # Discovery and resolution.

    def discovered(self, manifest: Manifest) -> None:
        """A manifest was read; a plugin that is known already stays where it is."""
        if manifest.id not in self._standings:
            self.move(manifest, State.DISCOVERED)

    def rejected(self, rejected: Rejected) -> None:
        """A manifest was left out."""
        self._events.emit(ManifestRejected(plugin="", path=rejected.path, error=detached(rejected.error)))

    def skipped(self, manifest: Manifest, sentences: Sequence[str]) -> None:
        """A plugin goes without some optional requirements."""
        for text in sentences:
            self._events.emit(RequirementSkipped(**_about(manifest), why=text))

    def verified(self, manifest: Manifest, signer: TrustedKey) -> None:
        """A trusted signature holds."""
        self._events.emit(SignatureVerified(**_about(manifest), key=signer.key, signer=signer.comment))

    # Loading and unloading.

    def may_start(self, manifest: Manifest) -> None:
        """Raise `PluginSuspended` for a plugin that failed to start too often; new files are a new chance."""
        breaker = self._starts.get(manifest.id)
        if breaker is not None and breaker.failures:
            if self.changed(manifest):
                breaker.worked()
            else:
                breaker.enter("start it")

    def tried(self, manifest: Manifest, files: Fingerprint | None = None) -> Fingerprint:
        """A plugin's files are about to be read, or were read when they were `files`."""
        self._tried[manifest.id] = found = files if files is not None else fingerprint(manifest)
        return found

    def changed(self, manifest: Manifest) -> bool:
        """Whether they have changed since."""
        return self._tried.get(manifest.id) != fingerprint(manifest)

    def started(self, manifest: Manifest, generation: int, without: str = "") -> None:
        """A plugin serves; `without` says what it has to do without."""
        self.move(manifest, State.STARTED, generation, without)
        granted = tuple(str(c) for c in manifest.capabilities)
        # These need an isolation with a boundary; the log must not let anyone believe otherwise.
        given = {"limits.memory": manifest.limits.memory, "limits.cpu": manifest.limits.cpu}
        unenforced = tuple(name for name, value in given.items() if value is not None)
        about = _about(manifest, generation)
        self._events.emit(Loaded(**about, capabilities=granted, isolation="inline", unenforced=unenforced))
        breaker = self._starts.get(manifest.id)
        if breaker is not None and breaker.worked():
            self.resumed(manifest)

    def load_failed(self, manifest: Manifest, error: BaseException) -> None:
        """A plugin could not be loaded or started; nothing of it stayed."""
        self._events.emit(LoadFailed(**_about(manifest), error=detached(error)))
        self.move(manifest, State.DISCOVERED, reason=str(error))
        breaker = self._starts.setdefault(manifest.id, Breaker(manifest.id, self._policy, self._policy.starts))
        # Only what ran and failed counts: a refusal before that costs nothing, and says the same each time.
        if not isinstance(error, (PluginError, PluginTimeout)):
            breaker.left()
            return
        seconds = breaker.failed(error)
        if seconds:
            self.suspended(manifest, breaker.failures, seconds, error)

    def stopped(self, manifest: Manifest, generation: int) -> None:
        """lb_fini has run."""
        self.move(manifest, State.STOPPED, generation)

    def unloaded(
        self,
        manifest: Manifest,
        generation: int,
        why: str,
        lasting: tuple[str, ...],
        problems: tuple[LatebindError, ...],
    ) -> None:
        """A plugin's code has gone."""
        self._events.emit(Unloaded(**_about(manifest, generation), why=why, lasting=lasting, problems=problems))
        self.move(manifest, State.UNLOADED, generation, "; ".join(str(p) for p in problems))

    # Reloading.

    def step(self, manifest: Manifest, generation: int, step: Step) -> None:
        """A reload comes to a step."""
        self._events.emit(ReloadStep(**_about(manifest, generation), step=step))

    def cannot_unload(self, manifest: Manifest, generation: int, lasting: tuple[str, ...]) -> None:
        """What will stay of the code that is about to be replaced."""
        self._events.emit(CannotUnload(**_about(manifest, generation), lasting=lasting))

    def passed_probation(self, manifest: Manifest, generation: int, result: Probation) -> None:
        """The new code came through its probation."""
        about = _about(manifest, generation)
        self._events.emit(
            ProbationPassed(**about, seconds=result.seconds, selftest=result.selftest, inconclusive=result.inconclusive)
        )

    def reloaded(self, manifest: Manifest, report: ReloadReport, without: Sequence[str]) -> None:
        """Another generation serves; `without` says what it has to do without."""
        self._events.emit(
            Reloaded(
                **_about(manifest, report.generation), old=report.old, new=report.new, state=report.state,
                held=report.held, lasting=report.lasting, problems=report.problems,
            )
        )  # fmt: skip
        self._standings[manifest.id] = Standing(State.STARTED, "; ".join(without))
        self.forgive(manifest.id)

    def rolled_back(self, manifest: Manifest, generation: int, step: Step, error: BaseException) -> None:
        """A reload failed; the old generation serves on, and the reason is kept."""
        self._events.emit(RolledBack(**_about(manifest, generation), step=step, error=detached(error)))
        self._standings[manifest.id] = Standing(State.STARTED, f"the last reload failed ({step}): {error}")

    # The breaker.

    def guard(self, generation: Generation) -> Generation:
        """The generation with its calls watched, if the policy counts calls; else itself."""
        if self._policy.calls is None:
            return generation
        manifest = generation.manifest
        # One for all generations: a new one that is rolled back must not take the old one's place.
        breaker = self._calls.setdefault(manifest.id, Breaker(manifest.id, self._policy, self._policy.calls))
        return GuardedGeneration(
            generation,
            breaker,
            lambda seconds, error: self.suspended(manifest, breaker.failures, seconds, error),
            lambda: self.resumed(manifest),
        )

    def suspended(self, manifest: Manifest, failures: int, seconds: float, error: BaseException) -> None:
        """A plugin is left alone for a while."""
        self._events.emit(Suspended(**_about(manifest), failures=failures, seconds=seconds, error=detached(error)))

    def resumed(self, manifest: Manifest) -> None:
        """A plugin that was suspended works again."""
        self._events.emit(Resumed(**_about(manifest)))

    def forgive(self, plugin: str) -> None:
        """Forget its failures: the next attempt is made at once."""
        for breakers in (self._starts, self._calls):
            breaker = breakers.get(plugin)
            if breaker is not None:
                breaker.worked()


def _about(manifest: Manifest, generation: int = 0) -> dict[str, Any]:
    return {"plugin": manifest.id, "version": str(manifest.version), "generation": generation}
