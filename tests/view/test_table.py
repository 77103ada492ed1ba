"""Columns line up, and an empty table is nothing."""

from __future__ import annotations

from latebind.view.table import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("a", "1", "first"), ("longer", "100", "second, which is long")]
    assert list(table(("NAME", "N", "WHAT"), rows, right="N", indent="  ")) == [
        "  NAME      N  WHAT",
        "  a         1  first",
        "  longer  100  second, which is long",
    ]


def test_the_last_column_is_not_padded() -> None:
    assert list(table(("A", "B"), [("1", "long"), ("2", "")])) == ["A  B", "1  long", "2"]


def test_without_rows_there_is_no_table() -> None:
    assert list(table(("A", "B"), [])) == []
