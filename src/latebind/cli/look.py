"""The options about looks that the reporting verbs share, and what they come to on this terminal.

Colours follow https://no-color.org: `--color` decides, then NO_COLOR, then whether standard output is a terminal.
Lines are cut to fit and names demangled on a terminal only: what goes into a file or a pipe is whole.
"""

from __future__ import annotations

import os
import sys

from latebind.view.look import Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def look_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the options `--color` and `--demangle`; it gets what they come to as the keyword `look`."""
    import functools

    import click

    @click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="When to use colours (auto: on a terminal, unless NO_COLOR is set).",
    )
    @click.option(
        "--demangle/--no-demangle", default=None,
        help="Show names of C++ and Rust as their authors wrote them, or as they are (default: only on a terminal).",
    )  # fmt: skip
    @functools.wraps(function)
    def with_look(*, color: str, demangle: bool | None, **options: Any) -> int:
        return function(look=chosen_look(color, demangle=demangle), **options)

    return with_look


def chosen_look(color: str, *, demangle: bool | None) -> Look:
    """How to print on this process's standard output."""
    terminal = sys.stdout.isatty()
    colour = color == "always" or (color == "auto" and terminal and _colours_are_welcome())
    return Look(colour, _columns() if terminal else None, terminal if demangle is None else demangle)


def _colours_are_welcome() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _columns() -> int | None:
    """The terminal's width; None where it does not say (shutil's function would import much for this)."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None
