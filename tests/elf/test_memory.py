"""Objects in the memory of a process: this one, and a child."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from latebind import MalformedElf, NotFound, SystemFailure
from latebind.elf import read, read_process
from latebind.elf.memory import mapped_objects


def test_the_objects_of_this_process_are_those_of_its_link_map() -> None:
    found = {o.path: o for o in mapped_objects(os.getpid())}
    names = {os.path.basename(path) for path in found}
    assert {"libc.so.6", "[vdso]"} <= names
    assert all(o.start < o.end for o in found.values())


def test_a_library_in_memory_has_the_symbols_of_its_file() -> None:
    # The first one: other tests of this process may have loaded a second libc.
    libc = next(o for o in mapped_objects(os.getpid()) if o.path.endswith("libc.so.6"))
    memory, file = read_process(os.getpid(), libc.start), read(libc.path)
    assert memory.symbols == file.symbols
    assert list(memory.relocations.column("offset")) == list(file.relocations.column("offset"))
    assert memory.sections == ()
    assert memory.dynamic.needed == file.dynamic.needed
    assert memory.build_id == file.build_id


def test_another_process_is_only_read() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            objects: list[str] = []
            while not any("libc" in path for path in objects):  # until it has been loaded
                objects = [o.path for o in mapped_objects(child.pid)]
            program = read_process(child.pid, next(o.start for o in mapped_objects(child.pid) if "sleep" in o.path))
            assert program.interpreter is not None
            assert child.poll() is None
        finally:
            child.send_signal(signal.SIGKILL)


def test_the_vdso_was_never_a_file() -> None:
    (vdso,) = [o for o in mapped_objects(os.getpid()) if o.path == "[vdso]"]
    elf = read_process(os.getpid(), vdso.start)
    assert any("time" in name for name in elf.symbols.column("name"))


def test_what_is_no_object_is_diagnosed() -> None:
    with pytest.raises(MalformedElf, match="no readable memory"):
        read_process(os.getpid(), 0x1000)
    with pytest.raises(NotFound, match="no such process"):
        mapped_objects(2**22 - 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users; run as root")
def test_a_refusal_of_the_system_is_passed_on() -> None:
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        try:
            mapped_objects(os.getppid())
        except SystemFailure:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
