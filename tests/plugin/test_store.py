"""The store: whole copies under the hash of their contents."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from latebind import Host, NotFound, SystemFailure
from latebind.plugin.store import Store
from latebind.testing import everything_allowed
from support.plugins import PluginFolder, Words

if TYPE_CHECKING:
    from pathlib import Path


def test_a_copy_does_not_change_with_its_original(tmp_path: Path) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(b"one")
    store = Store(tmp_path / "store")
    first = store.put_file(str(file))
    file.write_bytes(b"two")
    second = store.put_file(str(file))
    with open(first.path, "rb") as one, open(second.path, "rb") as two:
        assert (one.read(), two.read()) == (b"one", b"two")
        assert os.fstat(one.fileno()).st_ino != os.fstat(two.fileno()).st_ino
    assert first.sha256 == hashlib.sha256(b"one").hexdigest()


def test_the_same_contents_are_kept_once_and_a_damaged_copy_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(b"one")
    store = Store(tmp_path / "store")
    first = store.put_file(str(file))
    inode = os.stat(first.path).st_ino
    assert store.put_file(str(file)) == first
    assert os.stat(first.path).st_ino == inode
    os.chmod(first.path, 0o600)
    with open(first.path, "wb") as damaged:
        damaged.write(b"on")
    store.put_file(str(file))
    with open(first.path, "rb") as healed:
        assert healed.read() == b"one"
    assert sorted(os.listdir(store.root)) == [first.sha256]


def test_a_file_that_is_not_there_is_not_found_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for wrong in ("no.so", "store"):
        with pytest.raises(NotFound):
            store.put_file(str(tmp_path / wrong))
    assert os.listdir(store.root) == []


def test_a_store_that_cannot_be_made_is_a_system_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFailure):
        Store(tmp_path / "file" / "store")


def test_a_temporary_store_goes_when_it_is_closed(tmp_path: Path) -> None:
    store = Store()
    assert os.path.isdir(store.root)
    store.close()
    store.close()
    assert not os.path.exists(store.root)
    kept = Store(tmp_path / "store")
    kept.close()
    assert os.path.isdir(kept.root)


def test_a_tree_is_copied_without_byte_code(tmp_path: Path) -> None:
    (tmp_path / "p" / "__pycache__").mkdir(parents=True)
    (tmp_path / "p" / "__pycache__" / "m.pyc").write_text("")
    (tmp_path / "p" / "m.py").write_text("x = 1")
    store = Store(tmp_path / "store")
    first = store.put_tree(str(tmp_path / "p"))
    assert os.listdir(first.path) == ["m.py"]
    assert store.put_tree(str(tmp_path / "p")) == first
    (tmp_path / "p" / "m.py").write_text("x = 2")
    assert store.put_tree(str(tmp_path / "p")) != first


def folder_of(tmp_path: Path, **files: bytes) -> str:
    folder = tmp_path / "plugin"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_name(path.name + ".so").write_bytes(data)
    return str(folder)


def test_a_plugin_alone_is_one_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    stored = store.put_plugin(folder_of(tmp_path, entry=b"1"), "entry.so")
    assert stored == store.put_plugin(folder_of(tmp_path, entry=b"1"), "./entry.so")
    assert os.listdir(stored.folder) == ["entry.so"]
    assert stored.files == {"entry.so": stored.sha256}


def test_libraries_beside_an_entry_are_copied_to_the_same_places(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, entry=b"1", lib__a=b"2")
    os.symlink("a.so", os.path.join(folder, "lib", "b.so"))
    (tmp_path / "plugin" / "notes.txt").write_text("not a library")
    store = Store(tmp_path / "store")
    stored = store.put_plugin(folder, "entry.so")
    assert stored.path == os.path.join(stored.folder, "entry.so")
    assert sorted(os.listdir(stored.folder)) == ["entry.so", "lib"]
    assert os.readlink(os.path.join(stored.folder, "lib", "b.so")) == "a.so"
    with open(os.path.join(stored.folder, "lib", "b.so"), "rb") as file:
        assert file.read() == b"2"
    assert sorted(stored.files) == ["entry.so", "lib/a.so"]
    assert store.put_plugin(folder, "entry.so") == stored
    changed = store.put_plugin(folder_of(tmp_path, lib__a=b"3"), "entry.so")
    assert (changed.sha256, changed.whole != stored.whole) == (stored.sha256, True)
    with open(os.path.join(stored.folder, "lib", "a.so"), "rb") as file:
        assert file.read() == b"2", "the first copy stays what it was"


def test_a_link_that_leads_out_of_the_folder_is_copied_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "outside.so").write_bytes(b"out")
    folder = folder_of(tmp_path, entry=b"1")
    os.symlink("../outside.so", os.path.join(folder, "in.so"))
    stored = Store(tmp_path / "store").put_plugin(folder, "entry.so")
    copy = os.path.join(stored.folder, "in.so")
    assert not os.path.islink(copy)
    with open(copy, "rb") as file:
        assert file.read() == b"out"


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_damaged_set_is_replaced(tmp_path: Path, how: str) -> None:
    folder, root = folder_of(tmp_path, entry=b"1", lib__a=b"2"), tmp_path / "store"
    stored = Store(root).put_plugin(folder, "entry.so")
    copy = os.path.join(stored.folder, "lib", "a.so")
    if how == "gone":
        os.unlink(copy)
    else:
        os.chmod(copy, 0o600)
        with open(copy, "wb") as file:
            file.write(b"!")
    assert Store(root).put_plugin(folder, "entry.so") == stored
    with open(copy, "rb") as file:
        assert file.read() == b"2"


def test_a_damaged_tree_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "m.py").write_text("x = 1")
    store = Store(tmp_path / "store")
    stored = store.put_tree(str(tmp_path / "p"))
    with open(os.path.join(stored.path, "m.py"), "w") as file:
        file.write("x = 666")
    assert store.put_tree(str(tmp_path / "p")) == stored
    with open(os.path.join(stored.path, "m.py")) as file:
        assert file.read() == "x = 1"


def test_what_a_killed_process_left_behind_is_removed_unless_somebody_is_at_work(tmp_path: Path) -> None:
    root = tmp_path / "store"
    first = Store(root)
    (root / "draft-left").write_bytes(b"half")
    (root / "draft-tree").mkdir()
    (root / "draft-tree" / "m.py").write_text("")
    with first._at_work():
        Store(root)
        assert sorted(os.listdir(root)) == ["draft-left", "draft-tree"]
    Store(root)
    assert os.listdir(root) == []


def test_a_file_that_is_written_while_it_is_copied_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real, turns = tmp_path / "x.so", os.read, [0]
    file.write_bytes(b"one")

    def read(fd: int, size: int) -> bytes:
        data = real(fd, size)
        if not data and turns[0] > 0:  # at the end, somebody goes on writing
            turns[0] -= 1
            with open(file, "ab") as writer:
                writer.write(b"more")
        return data

    monkeypatch.setattr("latebind.plugin.store.os.read", read)
    store = Store(tmp_path / "store")
    turns[0] = 1
    with open(store.put_file(str(file)).path, "rb") as copy:
        assert copy.read() == b"onemore"
    turns[0] = 100
    with pytest.raises(SystemFailure, match="being written all the time"):
        store.put_file(str(file))
    assert not [name for name in os.listdir(store.root) if name.startswith("draft")]


@pytest.mark.parametrize("what", ["file", "plugin", "tree"])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_full_disk_is_a_system_failure_and_leaves_nothing_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, calls: int
) -> None:
    """Where the store writes (a file's contents, a link, a folder), the disk is full from the nth time on."""
    folder = folder_of(tmp_path, entry=b"1", lib__a=b"2")
    store, left = Store(tmp_path / "store"), [calls]

    def full(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **named)

        monkeypatch.setattr(f"latebind.plugin.store.os.{name}", call)

    for name in ("write", "link", "mkdir"):
        full(name)
    puts = {
        "file": lambda: store.put_file(os.path.join(folder, "entry.so")),
        "plugin": lambda: store.put_plugin(folder, "entry.so"),
        "tree": lambda: store.put_tree(folder),
    }
    if what == "file" and calls == 3:
        assert puts[what]().sha256, "a file takes two: a folder and its contents"
        return
    with pytest.raises(SystemFailure) as caught:
        puts[what]()
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert not [name for name in os.listdir(store.root) if name.startswith("draft")]
    assert puts[what]() == puts[what]()


def test_two_processes_that_put_the_same_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, entry=b"1" * 100_000, lib__a=b"2" * 100_000)
    code = (
        "import sys; sys.path[:] = sys.argv[3:]\n"
        "from latebind.plugin.store import Store\n"
        "for turn in range(20):\n"
        "    store = Store(sys.argv[1])\n"
        "    print(store.put_plugin(sys.argv[2], 'entry.so').path, store.put_tree(sys.argv[2]).path)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store"), folder, *sys.path]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [child.communicate(timeout=60)[0] for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert len(set("".join(said).splitlines())) == 1
    assert not [name for name in os.listdir(tmp_path / "store") if name.startswith("draft")]


def test_what_nobody_runs_and_nobody_asked_for_in_a_week_goes(tmp_path: Path) -> None:
    class Running:
        """Something that was loaded from a copy."""

    folder, root = folder_of(tmp_path, entry=b"1", lib__a=b"2"), tmp_path / "store"
    store, running = Store(root), Running()
    used, tree = store.put_plugin(folder, "entry.so"), store.put_tree(folder)
    unused = [store.put_plugin(folder_of(tmp_path, entry=data), "entry.so") for data in (b"3", b"4")]
    store.keep(used, running)
    (root / "notes").mkdir()
    week_ago = time.time() - 8 * 24 * 3600
    for name in os.listdir(root):
        if name != os.path.basename(unused[1].folder):
            os.utime(root / name, (week_ago, week_ago))
    Store(root)
    left = {os.path.basename(stored.folder) for stored in (used, *unused, tree)} & set(os.listdir(root))
    assert left == {os.path.basename(used.folder), os.path.basename(unused[1].folder)}
    assert (root / "notes").is_dir(), "what is not the store's is left alone"
    with open(os.path.join(used.folder, "lib", "a.so"), "rb") as file:
        assert file.read() == b"2"
    del running
    gc.collect()
    Store(root)
    assert not os.path.exists(used.folder)


def test_a_host_keeps_what_it_runs(plugins: PluginFolder, tmp_path: Path) -> None:
    code = "class Plugin:\n    def __init__(self, context): pass\n    def find(self, word): return [word]\n"
    plugins.python("p.a", code, provides=[{"contract": "test.words", "version": "1.0.0"}])
    store = tmp_path / "store"

    def age() -> list[str]:
        week_ago = time.time() - 8 * 24 * 3600
        for name in os.listdir(store):
            os.utime(store / name, (week_ago, week_ago))
        Store(store)
        return os.listdir(store)

    with Host(everything_allowed(), contracts=[Words], store=store) as host:
        host.discover(plugins.root)
        host.load("p.a")
        (before,) = age()
        plugins.python("p.a", code + "# another\n", provides=[{"contract": "test.words", "version": "1.0.0"}])
        host.reload("p.a")
        gc.collect()
        (after,) = age()
        assert before != after
    gc.collect()
    assert age() == []
