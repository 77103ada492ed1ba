"""The core's summary of a file says what `Elf` says: on the machine's files, on files made by hand, on damaged ones."""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from latebind._core import (
    layout,
    look_ahead_into,
    read_ahead,
    stop_ahead,
    summarize,
    summarize_bytes,
    take_ahead,
    take_map,
    take_whole,
)  # fmt: skip
from latebind.elf import dynamic as dyn
from latebind.elf import read
from latebind.elf.reading import read_whole
from latebind.elf.summary import Summary, read_summary
from latebind.errors import LatebindError, MalformedElf, NotFound
from support.image import Image

if TYPE_CHECKING:
    from types import ModuleType

    from latebind.elf import Elf

FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec")


def fuzz(name: str) -> ModuleType:
    """The program tests/fuzz/NAME.py as a module."""
    path = Path(__file__).parent.parent / "fuzz" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


target, seeds = fuzz("elf_target"), fuzz("seeds")
SEEDS: dict[str, bytes] = {n: d for n, d in seeds.elf_seeds() if not d.startswith(b"!<arch>")}


def elf_files() -> list[str]:
    found = []
    for top in FOLDERS:
        for folder, _, names in os.walk(top):
            for name in names:
                path = f"{folder}/{name}"
                if os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):
                    with open(path, "rb") as file:
                        if file.read(4) == b"\x7fELF":
                            found.append(path)
    return sorted(found)


def of_elf(elf: Elf) -> tuple[Any, ...]:
    """The core's tuple, as `Elf` gives it."""
    h, d = elf.header, elf.dynamic
    return (
        elf.identity, h.elf_class, h.data, h.os_abi, h.type, h.machine, elf.interpreter, d.needed, d.soname, d.rpath,
        d.runpath, d.flags, d.flags_1, elf.is_dynamic,
    )  # fmt: skip


def has_dlopen_note(elf: Elf) -> bool:
    return bool(elf.segments) and bool(elf.dlopen_notes)


def disagreement(data: bytes) -> str | None:
    """How the core and `Elf` differ on `data`; the core may give up."""
    values = summarize_bytes(data, None)
    if values is None:
        return None
    try:
        expected = of_elf(read(data))
    except LatebindError as error:
        return f"the core reads what Elf refuses: {error}"
    return None if values[:-1] == expected else f"{values} is not {expected}"


def check_files(paths: list[str]) -> int:
    """Compare on each of `paths`; how many of them the core read."""
    plain = 0
    for path in paths:
        values = summarize(path, {})
        if isinstance(values, tuple):
            elf = read(path)
            assert values[:-1] == of_elf(elf), path
            assert values[-1] or not has_dlopen_note(elf), path
            plain += 1
    return plain


def test_the_machines_files_are_plain_and_read_as_elf_reads_them() -> None:
    paths = random.Random(1).sample(elf_files(), 150)
    assert check_files(paths) >= 145


@pytest.mark.slow
def test_every_file_of_the_machine_is_read_as_elf_reads_it() -> None:
    paths = elf_files()
    assert check_files(paths) >= 0.99 * len(paths)


@pytest.mark.parametrize("name", SEEDS)
def test_either_class_and_byte_order(name: str) -> None:
    assert disagreement(SEEDS[name]) is None
    assert summarize_bytes(SEEDS[name], None) is not None


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read_as_elf_reads_them_or_left_to_it(seed: int) -> None:
    dice = random.Random(seed)
    files = sorted(SEEDS.values(), key=len)[:-2]  # without the large ones
    left = 0
    for _ in range(1000):
        data = bytearray(dice.choice(files))
        target.mutate(data, dice)
        assert disagreement(bytes(data)) is None
        left += summarize_bytes(data, None) is None
    assert 50 < left < 950


def test_a_file_cut_off_anywhere_is_no_trap() -> None:
    data = SEEDS[min(SEEDS, key=lambda name: len(SEEDS[name]))]
    for size in range(len(data)):
        assert disagreement(data[:size]) is None


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("little", [True, False])
def test_what_a_search_needs(bits: int, little: bool) -> None:  # noqa: FBT001
    image = Image(bits, little)
    image.tags += [
        (dyn.DT_NEEDED, image.string("liba.so")), (dyn.DT_NEEDED, image.string(b"lib\xff.so")),
        (dyn.DT_SONAME, image.string("libown.so")), (dyn.DT_RUNPATH, image.string("$ORIGIN")),
        (dyn.DT_RPATH, image.string("/void")), (dyn.DT_SYMBOLIC, 0), (dyn.DT_FLAGS, 8), (dyn.DT_FLAGS_1, 0x801),
    ]  # fmt: skip
    summary = read(image.build()).summary
    assert summary.needed == ("liba.so", "lib\udcff.so")
    assert (summary.soname, summary.runpath, summary.rpath) == ("libown.so", "$ORIGIN", None)
    assert (summary.flags, summary.flags_1, summary.bits, summary.is_dynamic) == (0xA, 0x801, bits, True)


@pytest.mark.parametrize(
    ("tag", "value"), [(dyn.DT_NEEDED, 0x10000), (0x6FFFFEFC, 0x10000), (dyn.DT_SONAME, (1 << 64) - 1)]
)
def test_a_string_outside_its_table_is_elfs_to_report(tag: int, value: int) -> None:
    image = Image()
    image.tags.append((tag, value))
    data = image.build()
    assert summarize_bytes(data, None) is None
    elf = read(data, name="bad.so")
    with pytest.raises(MalformedElf) as expected:
        _ = elf.dynamic
    with pytest.raises(MalformedElf) as caught:
        _ = elf.summary.needed
    assert vars(caught.value) == vars(expected.value)


BAD = {
    "empty": b"", "text": b"hello", "script": b"#!/bin/sh\n", "archive": b"!<arch>\n", "linker script": b"INPUT(x)",
    "cut off": b"\x7fELF\2\1\1", "class": b"\x7fELF\7\1\1" + bytes(60), "order": b"\x7fELF\2\7\1" + bytes(60),
    "header": b"\x7fELF\2\1\1" + bytes(30),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_elf_file_is_refused_with_the_same_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BAD[kind])
    with pytest.raises(MalformedElf) as expected:
        read(path)
    error = read_summary(str(path), str(path), {})
    assert isinstance(error, MalformedElf)
    assert vars(error) == vars(expected.value)


def test_what_is_no_regular_file_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        error = read_summary(str(path), "name", {})
        assert isinstance(error, MalformedElf)
        assert vars(error) == {"file": "name", "offset": None, "what": "not a regular file"}
    for path in (tmp_path / "absent", tmp_path / "pipe" / "below"):
        assert isinstance(read_summary(str(path), str(path), {}), NotFound)
    (tmp_path / "loop").symlink_to("loop")
    assert isinstance(read_summary(str(tmp_path / "loop"), "loop", {}), NotFound)


def test_a_file_under_two_names_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(Image().build())
    (tmp_path / "two").symlink_to("one")
    known: dict[tuple[int, int], Summary] = {}
    first = read_summary(str(tmp_path / "one"), "one", known)
    assert read_summary(str(tmp_path / "two"), "two", known) is first
    status = (tmp_path / "one").stat()
    assert known == {(status.st_dev, status.st_ino): first}
    assert isinstance(first, Summary)
    assert first.identity == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    assert first.elf.path == "one"
    assert first.elf is first.elf


def test_more_than_the_core_has_room_for_is_elfs_to_read() -> None:
    image = Image()
    image.tags += [(dyn.DT_NEEDED, image.string("lib.so"))] * 3000
    data = image.build()
    assert summarize_bytes(data, None) is None
    assert read(data).summary.needed == ("lib.so",) * 3000


def test_long_strings_are_read_whole_or_left_to_elf() -> None:
    for length in (60, 64, 1023, 1024, 1025, 5000, 40000):
        image = Image()
        image.tags.append((dyn.DT_RUNPATH, image.string("/" * length)))
        data = image.build()
        assert disagreement(data) is None
        assert read(data).summary.runpath == "/" * length
        assert (summarize_bytes(data, None) is not None) == (length < 40000)


def with_notes(*notes: tuple[bytes, int, bytes], bits: int = 64, little: bool = True, cut: int = 0) -> bytes:
    """A file with a PT_NOTE that is `cut` bytes short."""
    image = Image(bits, little)
    data = b"".join([image.note(*note) for note in notes])
    image.segments.append((4, image.add(data, 4), len(data) - cut, len(data) - cut))
    return image.build()


DLOPEN = b"FDO", 0x407C0C0A, b'[{"soname": ["libx.so"]}]'
PACKAGE = b"FDO", 0xCAFE1A7E, b'{"type": "deb"}'
OTHER = b"GNU", 3, bytes(20)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("little", [True, False])
def test_only_a_note_for_dlopen_makes_it_look_for_optional_dependencies(bits: int, little: bool) -> None:  # noqa: FBT001
    for notes, expected in (([OTHER], False), ([OTHER, PACKAGE], False), ([OTHER, PACKAGE, DLOPEN], True)):
        summary = read(with_notes(*notes, bits=bits, little=little)).summary
        assert summary.may_have_dlopen_note is expected
        assert [d.sonames for d in summary.optional_dependencies] == ([("libx.so",)] if expected else [])


def test_notes_of_fdo_that_cannot_be_told_apart_are_elfs_to_report() -> None:
    summary = read(with_notes(OTHER, PACKAGE, cut=4)).summary
    assert summary.may_have_dlopen_note
    with pytest.raises(MalformedElf, match="reaches beyond its segment"):
        _ = summary.optional_dependencies


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    for name, data in SEEDS.items():
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(data)
        from_file, from_bytes = summarize(str(path), {}), summarize_bytes(data, None)
        assert isinstance(from_file, tuple)
        assert from_bytes is not None
        assert from_file[1:] == from_bytes[1:]


def test_files_that_are_read_ahead_are_what_they_are_when_read_one_by_one(tmp_path: Path) -> None:
    paths = []
    for name, data in {**SEEDS, **BAD}.items():
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(data)
        paths.append(str(path))
    os.mkfifo(tmp_path / "pipe")
    paths += [str(tmp_path / "absent"), str(tmp_path / "pipe"), str(tmp_path)]
    for order in (paths, paths[::-1]):  # behind the thread, and before it
        ahead = read_ahead(paths)
        assert [take_ahead(ahead, path, {}) for path in order] == [summarize(path, {}) for path in order]
        assert [take_ahead(ahead, path, {}) for path in order[:3]] == [summarize(path, {}) for path in order[:3]]
    other = tmp_path / "other"
    other.write_bytes(Image().build())
    assert take_ahead(read_ahead(paths), str(other), {}) == summarize(str(other), {})  # not one of them


def test_a_file_that_is_known_is_not_taken_from_what_was_read_ahead(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(Image().build())
    status = path.stat()
    marker: Any = object()
    assert take_ahead(read_ahead([str(path)]), str(path), {(status.st_dev, status.st_ino): marker}) is marker


def test_a_file_under_two_names_is_read_ahead_once(tmp_path: Path) -> None:
    path, link = tmp_path / "one", tmp_path / "two"
    path.write_bytes(Image().build())
    link.symlink_to(path)
    for paths in ([path, link], [link, path], [path, path, link]):
        ahead = read_ahead([str(p) for p in paths])
        found = [take_ahead(ahead, str(p), {}) for p in (path, link)]
        assert found == [summarize(str(path), {})] * 2


def test_what_files_need_is_read_ahead_from_the_folders_that_are_named(tmp_path: Path) -> None:
    image = Image()
    image.tags.append((dyn.DT_NEEDED, image.string("libother.so")))
    data = image.build()
    paths = [tmp_path / f"{number}" for number in range(20)]
    for path in paths:
        path.write_bytes(data)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "libother.so").write_bytes(Image().build())
    ahead = read_ahead([str(path) for path in paths])
    for number in range(6):  # more than are looked into
        look_ahead_into(ahead, str(folder) if number == 1 else f"{folder}{number}")
    wanted = {str(p): summarize(str(p), {}) for p in (*paths, folder / "libother.so", folder / "absent.so")}
    for _ in range(2):
        assert {path: take_ahead(ahead, path, {}) for path in wanted} == wanted


def test_reading_ahead_can_end_before_it_is_done() -> None:
    paths = [f"/usr/bin/{name}" for name in sorted(os.listdir("/usr/bin"))]
    for number in range(20):
        ahead = read_ahead(paths)
        if number % 2:
            look_ahead_into(ahead, "/lib/x86_64-linux-gnu")
        assert take_ahead(ahead, paths[-1], {}) == summarize(paths[-1], {})


def whole(found: Any, ahead: object, path: str) -> Any:
    """What `take_whole` and `take_map` returned, with the bytes of the file in the place of its mapping."""
    if not isinstance(found, tuple):
        return found
    values, data, laid_out = found
    if data is None:
        mapped = take_map(ahead, path)
        if mapped is None:  # perhaps the thread took its time
            stop_ahead(ahead)
            mapped = take_map(ahead, path)
        data, laid_out = mapped or (b"", None)
    return values, bytes(memoryview(data)), laid_out


def test_a_whole_file_is_its_summary_its_bytes_and_its_layout(tmp_path: Path) -> None:
    paths = []
    for name, content in {**SEEDS, **BAD}.items():
        file = tmp_path / name.replace("/", "_")
        file.write_bytes(content)
        paths.append(str(file))
    paths += ["/lib64/ld-linux-x86-64.so.2", str(tmp_path / "absent"), str(tmp_path)]
    target = 62, 4096
    ahead, summaries, layouts = read_ahead(paths, target), read_ahead(paths), 0
    for path in paths:
        expected: Any = summarize(path, {})
        if isinstance(expected, tuple):
            data, summed = Path(path).read_bytes(), expected
            found = layout(data, summed[1] == 2, summed[2] == 1, 4096) if summed[5] == 62 else None
            expected = (summed, data, found)
            layouts += found is not None
        assert whole(take_whole(None, path, {}, target), None, path) == expected
        assert whole(take_whole(ahead, path, {}, target), ahead, path) == expected
        assert whole(take_whole(summaries, path, {}, target), summaries, path) == expected
        assert take_map(ahead, path) is None  # it is gone
        assert take_map(summaries, path) is None
    assert layouts > 0
    assert take_map(ahead, str(tmp_path / "other")) is None
    with pytest.raises(ValueError, match="PyCapsule"):
        take_map(None, "a")


def test_what_a_thread_that_was_stopped_has_not_read_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(number)) for number in range(100)]
    for path in paths:
        Path(path).write_bytes(Image().build())
    for target in ((), ((62, 4096),)):
        ahead = read_ahead(paths, *target)
        for _ in range(2):
            stop_ahead(ahead)
        assert [take_ahead(ahead, path, {}) for path in paths] == [summarize(path, {}) for path in paths]
        assert [take_map(ahead, path) is None for path in paths] == [not target] * 100
    with pytest.raises(ValueError, match="PyCapsule"):
        stop_ahead(None)


def test_a_child_of_a_fork_leaves_the_thread_alone(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(number)) for number in range(20)]
    for path in paths:
        Path(path).write_bytes(Image().build())
    ahead: object = read_ahead(paths, (62, 4096))
    child = os.fork()
    if child == 0:
        stop_ahead(ahead)
        del ahead
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert isinstance(take_ahead(ahead, paths[-1], {}), tuple)


def test_of_many_files_some_are_left_to_be_opened_when_they_are_asked_for(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(number)) for number in range(300)]
    for path in paths:
        Path(path).write_bytes(Image().build())
    ahead = read_ahead(paths, (62, 4096))
    for path in paths:
        found = read_whole(path, path, {}, (62, 4096), SimpleNamespace(reading=ahead))  # type: ignore[arg-type]
        assert isinstance(found, Summary)
        assert bytes(found.elf.data) == Path(path).read_bytes()
    assert take_map(read_ahead([]), paths[0]) is None


def test_a_whole_file_that_is_known_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(Image().build())
    status = path.stat()
    marker: Any = object()
    for ahead in (None, read_ahead([str(path)], (62, 4096))):
        assert take_whole(ahead, str(path), {(status.st_dev, status.st_ino): marker}, (62, 4096)) is marker


def test_what_was_read_whole_says_what_reading_it_says(tmp_path: Path) -> None:
    for name, data in {**SEEDS, **BAD}.items():
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(data)
        found, expected = read_whole(str(path), name, {}, (62, 4096)), read_summary(str(path), name, {})
        if not isinstance(expected, Summary):
            assert type(found) is type(expected)
            assert vars(found) == vars(expected)
            continue
        assert isinstance(found, Summary)
        assert (found.elf.path, found.elf.summary, found.elf.identity) == (name, found, expected.elf.identity)
        assert of_elf(found.elf) == of_elf(expected.elf)
        assert bytes(found.elf.data) == data


def test_a_page_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="a page has bytes"):
        take_whole(None, "/nowhere", {}, (62, 0))
    with pytest.raises(ValueError, match="a page has bytes"):
        read_ahead([], (62, 0))


def test_reading_ahead_refuses_what_is_no_list_of_paths() -> None:
    with pytest.raises(TypeError):
        read_ahead([1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="null"):
        read_ahead(["a\0b"])
    with pytest.raises(ValueError, match="null"):
        look_ahead_into(read_ahead([]), "a\0b")
    with pytest.raises(ValueError, match="PyCapsule"):
        take_ahead(None, "a", {})
    with pytest.raises(ValueError, match="PyCapsule"):
        look_ahead_into(None, "a")
