"""Colours stand around the text and not in its widths; lines fit the terminal."""

from __future__ import annotations

import re

from latebind.view.look import PLAIN, Look
from latebind.view.table import table

ROWS = [("libone.so", "/usr/lib/x86_64-linux-gnu/libone.so", "because of a long reason that nobody needs")]
HEAD = ("NAME", "PATH", "WHY")


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_colours_change_nothing_but_colours() -> None:
    coloured = list(table(HEAD, ROWS, look=Look(colour=True), roles={"NAME": "name"}))
    assert [plain(line) for line in coloured] == list(table(HEAD, ROWS))
    assert coloured[1].startswith("\x1b[36mlibone.so\x1b[0m")


def test_without_a_terminal_nothing_is_cut_and_nothing_is_coloured() -> None:
    line = PLAIN.fit(("bad", "x" * 300), ("path", "y" * 300))
    assert line == "x" * 300 + "y" * 300


def test_a_line_is_cut_where_the_terminal_ends() -> None:
    look = Look(width=20)
    assert look.fit(("", "0123456789"), ("dim", "0123456789")) == "01234567890123456789"
    assert look.fit(("", "0123456789"), ("dim", "0123456789a")) == "0123456789012345678…"
    assert plain(Look(colour=True, width=12).fit(("name", "0123456789"), ("bad", "abcdef"))) == "0123456789a…"


def test_a_table_takes_the_room_from_its_widest_columns() -> None:
    lines = list(table(HEAD, ROWS, look=Look(width=60)))
    assert max(map(len, lines)) == 60
    assert "libone.so  /usr" in lines[1]  # the narrow column is whole
    assert lines[1].endswith("…")


def test_a_terminal_that_is_too_narrow_gets_lines_that_are_too_long() -> None:
    lines = list(table(HEAD, ROWS, look=Look(width=10)))
    assert all(len(line) < 45 for line in lines)


def test_versions_stay_when_names_are_made_readable() -> None:
    assert Look(demangle=True).readable_version("_ZNSt6vectorIiE4sizeEv@@V1") == "std::vector<int>::size()@@V1"
    assert PLAIN.readable_version("_ZN1A1bEv@V") == "_ZN1A1bEv@V"
