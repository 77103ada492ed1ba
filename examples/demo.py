"""What latebind does, step by step, with real output: `make demo`.

Every step runs the real thing: the command `latebind` in a process of its own, and the tokenizer of
examples/tokenizer, compiled with the machine's `cc` in a temporary folder. If a step does not do what it says, the
demo stops with an AssertionError.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import latebind
from latebind.testing import compile_plugin

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tokenizer"))
from contract import Logger, Tokenizer  # noqa: E402  (the example's folder must be on the path first)

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN = "acme.tokenizer"
SPY = """\
#include <sys/socket.h>
#include "acme_tokenizer.h"
LATEBIND_PLUGIN("acme.spy", "1.0.0")
LATEBIND_PROVIDES(acme_tokenizer)
#include <stdio.h>
__attribute__((constructor)) static void first_instruction(void) { puts("the spy's code runs!"); }
lb_status acme_tokenizer_count(lb_context *ctx, lb_str text, int64_t *result)
{ (void)ctx; *result = connect(0, (const struct sockaddr *)text.data, (socklen_t)text.size); return LB_OK; }
lb_status acme_tokenizer_longest(lb_context *ctx, lb_str text, lb_str *result)
{ (void)ctx; *result = text; return LB_OK; }
lb_status acme_tokenizer_seen(lb_context *ctx, int64_t *result)
{ (void)ctx; *result = 0; return LB_OK; }
"""
SPY_MANIFEST = """\
id: acme.spy
version: 1.0.0
entry: libspy.so
provides: [{contract: acme.tokenizer, version: 1.2.0}]
capabilities: []
"""


class Screen:
    """The host's side of `host.logger`: what the plugin writes appears on the screen."""

    def info(self, text: str) -> None:
        """Show one line."""
        print(f"  [plugin] {text}")


class Caller(threading.Thread):
    """Calls the tokenizer without pause and keeps every answer, until `stop`."""

    TEXT = "late-binding is decided when the program runs"

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.made = 0
        self.answers: list[int] = []
        self.failures: list[Exception] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Call, and note what came back."""
        while not self._stopping.is_set():
            self.made += 1
            try:
                self.answers.append(self.tokenizer.count(self.TEXT))
            except latebind.LatebindError as error:
                self.failures.append(error)

    def wait_for(self, calls: int) -> int:
        """Wait until `calls` more calls were answered; returns how many there are in all."""
        target = len(self.answers) + calls
        while len(self.answers) < target and not self.failures and self.is_alive():
            time.sleep(0.001)
        return len(self.answers)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.join()


def step(number: int, title: str) -> None:
    """Announce a step."""
    print(f"\n── {number}. {title} ".ljust(100, "─"), flush=True)


def command(*arguments: str, text: str = "") -> None:
    """Run `latebind ARGUMENTS` and show the command, its input and its output."""
    print(f"$ latebind {' '.join(arguments)}", flush=True)
    run = subprocess.run(
        [sys.executable, "-m", "latebind", *arguments], input=text, capture_output=True, text=True, check=False
    )
    answers = iter((run.stdout + run.stderr).splitlines())
    if text:
        for line in text.splitlines():
            print(f"> {line}")
            print(next(answers, ""))
    print("".join(f"{line}\n" for line in answers), end="", flush=True)
    assert run.returncode == 0, run.stderr


def the_shell() -> None:
    """Any function of any library, loaded by our linker."""
    step(1, "The shell: any function of any library")
    lines = [
        "libm.so.6 cosf 0.0",
        "libm.so.6 double pow(double, double) 2 10",
        'libz.so.1 unsigned long crc32(unsigned long, const char *, unsigned int) 0 "hello" 5',
    ]
    try:
        latebind.plan("libz.so.1")
    except latebind.NotFound:
        lines.pop()  # a machine without zlib
    command("shell", text="\n".join(lines) + "\n")


def the_tree() -> None:
    """What a program pulls in."""
    step(2, "Look before you load: what a program needs, from where, and why")
    command("deps", "/bin/ls")
    command("explain", "/bin/ls", "malloc")


def build(folder: Path, *flags: str) -> None:
    """Compile the tokenizer in `folder`."""
    compile_plugin(folder / "tokenizer.c", folder / "libacme_tokenizer.so", [Tokenizer, Logger], flags=flags)


def the_plan(folder: Path) -> None:
    """The plan of the plugin: a value, made without executing anything."""
    step(3, "A plugin in C, compiled now, and its plan")
    build(folder)
    plan = latebind.plan(folder / "libacme_tokenizer.so", into=latebind.Namespace())
    print(plan.with_hooks(["host_logger_info"]))  # as the host does for the services that a plugin requires


def the_call(host: latebind.Host, folder: Path) -> Tokenizer:
    """Load and call through the contract."""
    step(4, "Loaded by our own linker, called through a typed contract")
    host.discover(folder)
    host.load(PLUGIN)
    tokenizer = host.get(Tokenizer)
    print(f"  count({Caller.TEXT!r}) = {tokenizer.count(Caller.TEXT)}")
    print(f"  longest({Caller.TEXT!r}) = {tokenizer.longest(Caller.TEXT)!r}")
    try:
        tokenizer.count(42)  # type: ignore[arg-type]  # on purpose: the contract refuses it
    except TypeError as error:
        print(f"  count(42): TypeError: {error}")
    return tokenizer


def the_reload(host: latebind.Host, folder: Path, tokenizer: Tokenizer) -> None:
    """Edit, recompile, reload, while a thread goes on calling."""
    step(5, "Edit → recompile → reload, while a thread goes on calling")
    seen_before = tokenizer.seen()
    caller = Caller(tokenizer)
    caller.start()
    before = caller.wait_for(1000)
    source = folder / "tokenizer.c"
    text = source.read_text(encoding="utf-8")
    edited = text.replace('#define SEPARATORS " \\t\\r\\n"', '#define SEPARATORS " \\t\\r\\n-"')
    assert edited != text
    source.write_text(edited, encoding="utf-8")
    print("  edited: '-' separates tokens too")
    build(folder)
    started = len(caller.answers)
    report = host.reload(PLUGIN)
    during = len(caller.answers) - started
    caller.wait_for(1000)
    caller.stop()
    total = len(caller.answers)
    after = total - started - during
    seen = tokenizer.seen() - seen_before
    old, new = caller.answers[0], caller.answers[-1]
    print(
        f"  reloaded: generation {report.generation}, {report.state} bytes of state, held {report.held * 1000:.2f} ms"
    )
    print(f"  calls before: {before}, while compiling: {started - before}, during the reload: {during}, after: {after}")
    print(f"  calls made: {caller.made}, answered: {total}, failed: {len(caller.failures)}; the plugin counted: {seen}")
    print(f"  answers: {caller.answers.count(old)} × {old}, then {caller.answers.count(new)} × {new}")
    assert caller.failures == []
    assert caller.made == total == seen
    assert (old, new) == (7, 8)
    assert caller.answers == sorted(caller.answers)


def the_rollback(host: latebind.Host, folder: Path, tokenizer: Tokenizer) -> None:
    """Broken builds do not get in."""
    step(6, "Broken builds are rolled back; the old code serves on")
    library = folder / "libacme_tokenizer.so"
    good = library.read_bytes()
    seen = tokenizer.seen()
    refuse(host, "cut off in the middle", lambda: library.write_bytes(good[: len(good) // 2]))
    refuse(host, "a method renamed", lambda: build(folder, "-Dacme_tokenizer_longest=acme_tokenizer_largest"))
    refuse(host, "lb_init fails", lambda: _with_failing_init(folder))
    assert tokenizer.seen() == seen
    print(f"  still there: count(…) = {tokenizer.count(Caller.TEXT)}, texts seen {tokenizer.seen()}")


def _with_failing_init(folder: Path) -> None:
    text = (folder / "tokenizer.c").read_text(encoding="utf-8")
    broken = text.replace("(void)config;", 'if (ctx) return lb_fail(ctx, "no dictionary"); (void)config;')
    assert broken != text
    (folder / "broken.c").write_text(broken, encoding="utf-8")
    compile_plugin(folder / "broken.c", folder / "libacme_tokenizer.so", [Tokenizer, Logger])


def refuse(host: latebind.Host, what: str, damage: Callable[[], object]) -> None:
    """Break the build, try to reload it, and show why it was refused."""
    damage()
    try:
        host.reload(PLUGIN)
    except latebind.LatebindError as error:
        print(f"  {what}: {type(error).__name__}: {str(error).splitlines()[0]}")
    else:
        raise AssertionError(f"a broken build was accepted: {what}")


def the_spy(host: latebind.Host, folder: Path) -> None:
    """A plugin that wants the network without saying so."""
    step(7, "A plugin that wants the network, and did not say so, is refused before its first instruction")
    folder.mkdir()
    (folder / "spy.c").write_text(SPY, encoding="utf-8")
    (folder / "plugin.yaml").write_text(SPY_MANIFEST, encoding="utf-8")
    compile_plugin(folder / "spy.c", folder / "libspy.so", [Tokenizer])
    host.discover(folder)
    try:
        host.load("acme.spy")
    except latebind.CapabilityDenied as error:
        print(f"  CapabilityDenied: {error}")
    else:
        raise AssertionError("the spy was let in")


def main() -> None:
    """All steps, in a temporary folder."""
    started = time.monotonic()
    the_shell()
    the_tree()
    with tempfile.TemporaryDirectory(prefix="latebind-demo-") as name:
        folder = Path(name) / "tokenizer"
        shutil.copytree(HERE / "tokenizer", folder, ignore=shutil.ignore_patterns("*.so", "*.h", "__pycache__"))
        the_plan(folder)
        policy = latebind.Policy(inline=[PLUGIN, "acme.spy"])
        with latebind.Host(policy, services={Logger: Screen()}, contracts=[Tokenizer]) as host:
            tokenizer = the_call(host, folder)
            the_reload(host, folder, tokenizer)
            the_rollback(host, folder, tokenizer)
            the_spy(host, Path(name) / "spy")
    print(f"\nAll of that took {time.monotonic() - started:.1f} s.")


if __name__ == "__main__":
    main()
