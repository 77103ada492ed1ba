"""`latebind plugin check`: what can be known of a plugin without running it, and then, in trials, by running it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.definitions import contract_place
from latebind.cli.files import print_document, print_lines
from latebind.cli.ids import plugins_around
from latebind.cli.places import as_declared, contracts_beside, in_places, manifest_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.contracts import ContractNote
    from latebind.contracts.declared import Mismatch
    from latebind.plugin import Manifest

STATIC: Final = "before running it"
_START: Final = 60.0
"""Seconds within which Python has certainly started; the time of a trial begins then."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How one trial went."""

    name: str
    findings: tuple[Mismatch, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.notes) or 'fine'}"


@click.command()
@click.argument("plugin", metavar="PLUGIN", shell_complete=plugins_around)
@click.argument("contracts", type=contract_place, nargs=-1, metavar="[FILE:CLASS...]")
@in_places
@click.option("--run", "run_it", is_flag=True, help="Then try it: start, stop, reload, and call its methods.")
@click.option("--skip", multiple=True, metavar="TRIAL", help="With --run: leave out this trial. Can be repeated.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True,
              metavar="SECONDS", help="With --run: how long a trial may take.")  # fmt: skip
@click.option("--config", metavar="JSON", help="With --run: the plugin's configuration, or @FILE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(
    plugin: str,
    contracts: tuple[tuple[str, type], ...],
    places: tuple[str, ...],
    run_it: bool,  # noqa: FBT001  (click passes options by keyword)
    skip: tuple[str, ...],
    timeout: float,
    config: str | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Check everything that can be known of PLUGIN, a folder or an id, before an instruction of it runs.

    The manifest, the notes in the compiled file, its exports, its imports and the capabilities that they imply; and,
    with the contracts FILE:CLASS that a host has, whether versions and types fit. Where the file has debug
    information, every compiled signature and structure is compared too. The source of a Python plugin is read for
    its class and methods. Each mismatch is shown as expected and found.

    With --run the plugin is then tried, with stand-ins for its services, each trial in a process of its own, so that
    a crash is a finding and not the end: it starts and stops, passes its lb_selftest, is replaced by itself with its
    state, and each method is called with arguments at the edges of their types. Methods do what they do: run only
    what you trust. The contracts are those given, or those in the nearest contract.py, as `plugin run` finds them.

    The exit status is 1 where anything is found, and 2 for a wrong command line.
    """
    manifest = manifest_in(plugin, places)
    given = [*contracts] or ([_beside(cls) for cls in contracts_beside(manifest)] if run_it else [])
    findings, about = _static(manifest, [cls for _, cls in given], raising=not as_json)
    trials: list[Trial] = []
    if run_it and not findings:
        texts = [text for text, _ in given]
        trials = list(_trials(manifest, [cls for _, cls in given], texts, places, config, timeout, skip))
    found = [(STATIC, one) for one in findings] + [(t.name, one) for t in trials for one in t.findings]
    if as_json:
        print_document(_document(manifest, about, found, trials))
    elif found:
        count = f"{len(found)} mismatch{'es' if len(found) > 1 else ''}"
        shown = [str(one) if name == STATIC else f"{name}: {one}" for name, one in found]
        print_lines([f"{manifest}: {count}", *shown, *(f"  {t}" for t in trials if not t.findings)])
    else:
        print_lines([f"{manifest} is fine:", *(f"  {line}" for line in about), *(f"  {trial}" for trial in trials)])
    return FINDING if found else SUCCESS


def _beside(cls: type) -> tuple[str, type]:
    """A class of contract.py as FILE:CLASS."""
    return f"{sys.modules[cls.__module__].__file__}:{cls.__name__}", cls


def _static(
    manifest: Manifest, classes: Sequence[type], *, raising: bool
) -> tuple[tuple[Mismatch, ...], tuple[str, ...]]:
    """(what is wrong, what is told about a plugin that is fine).

    What the host would refuse is raised, or, unless `raising`, a mismatch like any other.
    """
    from latebind.contracts.declared import Mismatch
    from latebind.errors import LatebindError

    try:
        return _python(manifest, classes) if manifest.is_python else _native(manifest, classes)
    except LatebindError as error:
        if raising:
            raise
        return (Mismatch(type(error).__name__, "a plugin that the host takes", str(error)),), ()


def _python(manifest: Manifest, classes: Sequence[type]) -> tuple[tuple[Mismatch, ...], tuple[str, ...]]:
    from latebind.contracts import contract_of
    from latebind.plugin.pycheck import source_mismatches

    about = (
        *(f"provides {p.contract} {p.version}" for p in manifest.provides),
        f"class {manifest.entry}: {'as declared' if classes else 'no contract is given to compare with'}",
        _capabilities(manifest),
    )
    return source_mismatches(manifest, [contract_of(c) for c in classes]), about


def _native(manifest: Manifest, classes: Sequence[type]) -> tuple[tuple[Mismatch, ...], tuple[str, ...]]:
    from latebind.contracts import contract_of
    from latebind.elf import read
    from latebind.plugin.check import Surroundings, check_native
    from latebind.plugin.conformity import mismatches
    from latebind.plugin.store import Store

    contracts = [contract_of(c) for c in classes]
    found, why_not = mismatches(manifest, read(manifest.entry_path), contracts)
    if found:
        return found, ()
    store = Store()
    try:
        around = Surroundings(contracts, {}, as_declared(manifest))
        checked = check_native(manifest, store.put_plugin(manifest.folder, manifest.entry), around)
    finally:
        store.close()
    return (), (
        *(f"provides {note.id} {note.version}: {_functions(note)}" for note in checked.note.provides.values()),
        *(f"{symbol} will be bound to the service {service}" for symbol, service in sorted(checked.imports.items())),
        f"compiled signatures: {why_not or 'as declared'}",
        _capabilities(manifest),
    )


def _functions(note: ContractNote) -> str:
    """The methods and functions that a note promises."""
    return ", ".join(note.symbols().values())


def _capabilities(manifest: Manifest) -> str:
    return f"capabilities: {', '.join(map(str, manifest.capabilities)) or 'none'}"


def _trials(
    manifest: Manifest,
    classes: Sequence[type],
    texts: Sequence[str],
    places: Sequence[str],
    config: str | None,
    timeout: float,
    skip: Sequence[str],
) -> Iterator[Trial]:
    """Each trial in a process of its own, one after the other."""
    from latebind.cli.arguments import MISMATCH, json_from
    from latebind.plugin.trials import trial_names

    try:
        settings = None if config is None else json_from(config, "--config")
    except MISMATCH as error:
        raise click.UsageError(str(error)) from error
    names = trial_names(manifest, classes)
    unknown = [name for name in skip if name not in names]
    if unknown:
        raise click.UsageError(f"--skip {unknown[0]}: there is no such trial; there are {', '.join(names)}")
    order = {"manifest": os.path.abspath(manifest.path), "contracts": texts, "config": settings,
             "places": [os.path.abspath(p) for p in places]}  # fmt: skip
    for name in names:
        if name not in skip:
            yield _trial(name, order, timeout)


def _trial(name: str, order: dict[str, object], timeout: float) -> Trial:
    """One trial: what its process told, and how the process ended.

    It tells through a file, since a pipe that nobody reads meanwhile would stop it when it is full.
    """
    from latebind.contracts.declared import Mismatch

    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        order = {**order, "trial": name, "told": told.fileno(), "timeout": timeout}
        command = [sys.executable, "-P", "-m", "latebind.cli.child", json.dumps(order)]
        with subprocess.Popen(
            command, pass_fds=[told.fileno()], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as process:
            try:
                status = process.wait(timeout + _START)
            except subprocess.TimeoutExpired:  # the plugin has taken the alarm for itself
                process.kill()
                status = -signal.SIGALRM
        told.seek(0)
        said.seek(0)
        lines = [json.loads(line) for line in told.read().splitlines(keepends=True) if line.endswith(b"\n")]
        last_words = said.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
    findings = [Mismatch(*line["finding"]) for line in lines if "finding" in line]
    notes = [line["note"] for line in lines if "note" in line]
    step = next((line["step"] for line in reversed(lines) if "step" in line), "before it was loaded")
    if status == -signal.SIGALRM:
        findings.append(Mismatch(step, f"an end within {timeout:g} seconds", "none"))
    elif status < 0:
        findings.append(Mismatch(step, "an answer or a failure", f"the process was ended by {_signal(-status)}"))
    elif not lines or lines[-1] != {"end": True}:
        words = f": {last_words[-1]}" if last_words else ""
        findings.append(Mismatch(step, "an answer or a failure", f"the process ended with status {status}{words}"))
    return Trial(name, tuple(findings), tuple(notes))


def _signal(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:  # a real-time signal without a name
        return f"signal {number}"


def _document(
    manifest: Manifest, about: Sequence[str], found: Sequence[tuple[str, Mismatch]], trials: Sequence[Trial]
) -> dict[str, object]:
    return {
        "schema": 1,
        "file": manifest.path,
        "id": manifest.id,
        "version": str(manifest.version),
        "fine": not found,
        "about": list(about),
        "findings": [{"check": name, "what": m.what, "expected": m.expected, "found": m.found} for name, m in found],
        "trials": [{"name": t.name, "fine": not t.findings, "notes": list(t.notes)} for t in trials],
    }
