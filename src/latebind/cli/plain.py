"""Verbs in their plain form, recognised without click, whose import takes longer than their work.

`latebind deps FILE...` with nothing but the options below is called here. Everything else (other options, help, a wrong
command line) is click's: this file refuses what it does not know, and what it does, the verb's click command does too.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STYLES = {"--tree": "tree", "--list": "list", "--json": "json"}


def plain_form(arguments: Sequence[str]) -> Callable[[], int] | None:
    """What to call for the command line `arguments`; None where it is not one of those that are known here."""
    if arguments[:1] != ["deps"] or "_LATEBIND_COMPLETE" in os.environ:  # click's variable of shell completion
        return None
    style, files = "tree", []
    for argument in arguments[1:]:
        if argument in _STYLES:
            style = _STYLES[argument]
        elif argument.startswith("-"):
            return None
        else:
            files.append(argument)
    if not files:
        return None

    def deps() -> int:
        from latebind.cli.closures import print_closures
        from latebind.cli.look import chosen_look

        return print_closures(files, style, chosen_look("auto", demangle=None))

    return deps
