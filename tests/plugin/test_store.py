"""The store: whole copies under the hash of their contents."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from latebind import NotFound, SystemFailure
from latebind.plugin.store import Store

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
