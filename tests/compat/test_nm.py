"""`latebind nm` beside GNU nm: the same bytes, messages and exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind.compat.collation import collation_key
from latebind.compat.nm import NmOptions, nm
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("binutils")

JOBS = {
    "": NmOptions(),
    "-D": NmOptions(dynamic=True),
    "-a": NmOptions(debugging=True),
    "-g": NmOptions(external_only=True),
    "-u": NmOptions(undefined_only=True),
    "--defined-only": NmOptions(defined_only=True),
    "-W": NmOptions(no_weak=True),
    "-n": NmOptions(order="address"),
    "-nr": NmOptions(order="address", reverse=True),
    "-S": NmOptions(print_size=True),
    "--size-sort": NmOptions(order="size"),
    "-aSr --size-sort": NmOptions(debugging=True, order="size", print_size=True, reverse=True),
    "-p": NmOptions(order="none"),
    "-r": NmOptions(reverse=True),
    "-A": NmOptions(file_names=True),
    "-P": NmOptions(style="posix"),
    "-PA": NmOptions(style="posix", file_names=True),
    "-DPtd": NmOptions(dynamic=True, style="posix", radix="d"),
    "-f sysv": NmOptions(style="sysv"),
    "-aj": NmOptions(debugging=True, style="just-symbols"),
    "-to": NmOptions(radix="o"),
    "-s": NmOptions(armap=True),
    "--quiet": NmOptions(quiet=True),
    "-u --size-sort": NmOptions(undefined_only=True, order="size"),
}


def both(arguments: str, options: NmOptions, *files: Path) -> tuple[Answer, Answer]:
    names = [str(file) for file in files]
    return ours("nm", lambda output: nm(names, options, output)), reference(
        "nm", "binutils", *arguments.split(), *files
    )


@pytest.mark.parametrize("arguments", ["", "-D"])
def test_every_kind_of_file(sample: Path, arguments: str) -> None:
    answer, wanted = both(arguments, JOBS[arguments], sample)
    assert answer == wanted


@pytest.mark.parametrize("arguments", JOBS)
def test_every_option(samples: Path, arguments: str) -> None:
    files = [samples / name for name in ("libsample.so", "object.o", "archive.a", "stripped")]
    answer, wanted = both(arguments, JOBS[arguments], *files)
    assert answer == wanted


def test_names_are_printed_byte_for_byte(samples: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.o"
    raw.write_bytes((samples / "object.o").read_bytes().replace(b"\0outside\0", b"\0out\xff\xfede\0"))
    answer, wanted = both("", NmOptions(), raw)
    assert answer == wanted
    assert "out\xff\xfede" in answer.out


def test_names_sort_as_in_the_users_locale(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LC_ALL", "LC_COLLATE", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    assert collation_key() is None
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert collation_key() is None
    monkeypatch.setenv("LC_ALL", "no_SUCH.locale")
    answer, wanted = both("", NmOptions(), samples / "libsample.so")
    assert answer == wanted
