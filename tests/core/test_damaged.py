"""Bits of plans and files flipped at random: the core executes them or refuses them, and the process lives on.

Only `execute` runs, no constructor and no function: what a damaged program computes is nobody's promise. For the same
reason no binding may become one to a resolver, which `execute` would call. In a process of its own, because a crash
would take the tests along; the seed is fixed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.machine import HERE

if TYPE_CHECKING:
    from support.compiler import Compiler

TEXT = """
    extern int abs(int), getpid(void); extern char **environ; extern int nowhere __attribute__((weak));
    static int state = 3; int *const sealed = &state; __thread int local = 5; static __thread int *own_ = &state;
    char bss[9000]; int *table[50] = {&state, [9] = &state, [40] = &state}; int exported = 1; int *pointer = &exported;
    int f(int n) { return abs(n) + getpid() + *sealed + local + *own_ + bss[n] + (environ != 0) + (&nowhere != 0); }
    __attribute__((constructor)) static void start(void) { state = 4; }
    __attribute__((destructor)) static void stop(void) { state = 5; }
"""

PROGRAM = """
import random, struct, sys
from pathlib import Path
from latebind import _core
from support.machine import HERE
from support.plans import IFUNC, own, pack, resident

_core.system_open("libgcc_s.so.1")  # an unwinder, which is told about the frames
path, what, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
data = path.read_bytes()
objects = [own(path, data=data), resident("libc.so.6"), resident(HERE.linker)]
sources = [o.source for o in objects]
if what == "plan":
    sources[0] = own(path).source
plan = pack(objects)
first, count = struct.unpack_from("<II", plan, 40)  # lb_plan_header.bindings
kinds = range(first + 4, first + 24 * count, 24)  # lb_plan_binding.kind
resolvers = {at for at in kinds if plan[at] == IFUNC}
dice = random.Random(20240607)
end = {"plan": len(plan), "file": len(data)}[what]
executed = refused = 0
for _ in range(rounds):
    damaged = bytearray(plan if what == "plan" else data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        damaged[dice.randrange(end)] ^= 1 << dice.randrange(8)
    if what == "plan":
        for at in kinds:
            if damaged[at] == IFUNC and at not in resolvers:
                damaged[at] = plan[at]
    try:
        if what == "plan":
            image = _core.execute(damaged, sources, [])[0]
        else:
            image = _core.execute(plan, [damaged, *sources[1:]], [])[0]
    except _core.ExecuteError as e:
        assert e.code in {"malformed", "unsupported", "unresolved", "system"} and e.detail, e
        refused += 1
    else:
        executed += 1
        if image is not None:
            image.unmap()
print(executed, refused)
"""


@pytest.mark.parametrize("packing", [HERE.pack, ()], ids=["relr", "rela"])
@pytest.mark.parametrize(("what", "rounds"), [("plan", 30000), ("file", 15000)])
def test_damage_is_survived(cc: Compiler, what: str, rounds: int, packing: tuple[str, ...]) -> None:
    path = cc.shared(TEXT, flags=["-fno-builtin", "-ftls-model=global-dynamic", *packing])
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    command = [sys.executable, "-X", "faulthandler", "-c", PROGRAM, str(path), what, str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    executed, refused = map(int, done.stdout.split())
    assert executed + refused == rounds
    assert executed > 0
    assert refused > 0
