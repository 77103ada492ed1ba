"""`latebind plugin top`: what a running host's plugins do, in the terminal; `--once` and `--json` for scripts."""

from __future__ import annotations

import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from latebind.cli.boundary import SUCCESS
from latebind.cli.files import print_document, print_lines
from latebind.cli.look import chosen_look, look_options
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from latebind.plugin.monitor import Watcher
    from latebind.view.look import Look

Document = dict[str, Any]
_ORDERS: Final = ("calls", "errors", "time", "name")
_HEAD: Final = ("PLUGIN", "METHOD", "CALLS", "CALLS/S", "ERRORS", "RUNNING", "MEAN", "P50", "P99", "BUSY")
_ROLES: Final = {"PLUGIN": "name", "ERRORS": "warn"}
# DECSET 1049 is xterm's alternate screen: what was on the terminal comes back at the end.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"


@click.command()
@click.argument("host", required=False, metavar="[PID|SOCKET]")
@click.option("--once", is_flag=True, help="Print once and end (so without a terminal).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line: everything, with histograms.")
@click.option("--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True, metavar="SECONDS",
              help="How often to look.")  # fmt: skip
@click.option("--sort", type=click.Choice(_ORDERS), default="calls", show_default=True,
              help="By calls (a second), errors, time spent, or name.")  # fmt: skip
@look_options
def top(*, host: str | None, once: bool, as_json: bool, interval: float, sort: str, look: Look) -> int:
    """Show what the plugins of a running host do: calls, errors and times of each method, states, last events.

    The host's program serves this with `latebind.plugin.Monitor`; without PID or SOCKET there must be one such host of
    yours. Rates are those since the last look; q or ^C ends.
    """
    from latebind.plugin.monitor import Watcher

    with Watcher(_socket_of(host)) as watcher:
        if as_json:
            print_document(watcher.ask())
            while not once:
                sys.stdout.flush()
                time.sleep(interval)
                print_document(watcher.ask())
        elif once or not sys.stdout.isatty():
            print_lines(report(watcher.ask(), None, sort, look))
        else:
            _live(watcher, interval, sort)
    return SUCCESS


def _socket_of(host: str | None) -> str:
    """The socket that a command line means. Raises NotFound, and UsageError where there are several."""
    from latebind.errors import NotFound, Tried
    from latebind.plugin.monitor import running_hosts, runtime_folder

    if host is not None and not host.isdecimal():
        return host
    found = [one for one in running_hosts() if host is None or one.pid == int(host)]
    if not found:
        why = "no program that serves its statistics has a socket there; it does with latebind.plugin.Monitor(host)"
        raise NotFound(f"a host of process {host}" if host else "a running host", None, (Tried(runtime_folder(), why),))
    if len(found) > 1:
        choices = "\n".join(f"  {one.pid:>8}  {one.path}" for one in found)
        raise click.UsageError(f"there are {len(found)} hosts; say which one by its socket:\n{choices}")
    return found[0].path


def report(now: Document, before: Document | None, sort: str, look: Look) -> Iterator[str]:
    """The lines of one look. Rates need the look `before`."""
    workers, plugins = now["workers"], now["plugins"]
    loaded = sum(1 for plugin in plugins if plugin["generation"])
    lost = f", {now['audit']['lost']} lines of the audit log lost" if now["audit"]["lost"] else ""
    threads = f"{workers['running']} of {workers['threads']} in calls ({workers['abandoned']} abandoned)"
    rest = f", {loaded} of {len(plugins)} plugins loaded, threads: {threads}, {workers['waiting']} calls waiting{lost}"
    yield look.fit(("head", f"process {now['pid']}"), ("", rest))
    rows = _rows(now, before, sort)
    if rows:
        yield ""
        yield from table(_HEAD, rows, right=" ".join(_HEAD[2:]), look=look, roles=_ROLES)
    standing = [p for p in plugins if p["reason"] or not p["generation"]]
    if standing:
        yield ""
        lines = [(p["id"], p["version"], p["state"], " ".join(p["reason"].split())) for p in standing]
        yield from table(("PLUGIN", "VERSION", "STATE", "WHY"), lines, look=look, roles={"PLUGIN": "name"})
    if now["events"]:
        yield ""
        last = [(e["time"][11:23], e["plugin"], e["event"], e["text"]) for e in reversed(now["events"])]
        yield from table(("TIME", "PLUGIN", "EVENT", ""), last, look=look, roles={"PLUGIN": "name"})


def _rows(now: Document, before: Document | None, sort: str) -> list[tuple[str, ...]]:
    seconds = (now["monotonic_ns"] - before["monotonic_ns"]) / 1e9 if before is not None else 0.0
    earlier = _methods(before) if before is not None else {}
    ranked = []
    for key, method in _methods(now).items():
        old: Mapping[str, Any] = earlier.get(key, {"calls": 0, "errors": 0, "total_ns": 0})
        calls, spent = method["calls"] - old["calls"], method["total_ns"] - old["total_ns"]
        rank = {"calls": (-calls, -method["calls"]), "errors": (old["errors"] - method["errors"], -method["errors"]),
                "time": (-spent, -method["total_ns"]), "name": (0, 0)}[sort]  # fmt: skip
        rate = f"{calls / seconds:.0f}" if seconds else "-"
        busy = f"{spent / seconds / 1e7:.0f}%" if seconds else "-"
        mean = method["total_ns"] // method["calls"] if method["calls"] else None
        row = (key[0], f"{key[1]}.{key[2]}", str(method["calls"]), rate, str(method["errors"]), str(method["running"]),
               duration(mean), duration(method["p50_ns"]), duration(method["p99_ns"]), busy)  # fmt: skip
        ranked.append((rank, key, row))
    return [row for _, _, row in sorted(ranked)]


def _methods(document: Document) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    return {(p["id"], m["contract"], m["method"]): m for p in document["plugins"] for m in p["methods"]}


def duration(nanoseconds: int | None) -> str:
    """`1.5 ms`: three digits that count, and a unit."""
    if nanoseconds is None:
        return "-"
    value, unit = float(nanoseconds), "ns"
    for larger in ("us", "ms", "s"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def _live(watcher: Watcher, interval: float, sort: str) -> None:
    """Look again and again on the terminal's other screen, until q or an interrupt."""
    before: Document | None = None
    with _screen():
        while True:
            now = watcher.ask()
            look = chosen_look("auto", demangle=None)  # anew each time: the window may have changed
            _draw(list(report(now, before, sort, look)))
            before = now
            if _quits(interval):
                return


def _draw(lines: Sequence[str]) -> None:
    import shutil

    rows = shutil.get_terminal_size().lines
    shown = lines if len(lines) < rows else [*lines[: rows - 2], "…"]
    sys.stdout.write(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in shown) + _CLEAR_BELOW)
    sys.stdout.flush()


@contextmanager
def _screen() -> Iterator[None]:
    """The other screen, and keys that arrive without Enter; the terminal is as before at the end, whatever happens."""
    import termios
    import tty

    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    settings = termios.tcgetattr(keyboard) if keyboard is not None else None
    try:
        if keyboard is not None:
            tty.setcbreak(keyboard)
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        if keyboard is not None and settings is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)


def _quits(seconds: float) -> bool:
    """Wait so long; whether q was pressed meanwhile. An interrupt goes through."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and sys.stdin.read(1) in {"q", "Q", ""}:
            return True
    return False
