"""`latebind man`: the manual page, made from the commands themselves, so that it cannot say what they do not do.

The page is in the man macros (man(7), groff_man(7)); `latebind man | man -l -` shows it, and packagers install it as
`latebind.1`.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
def command() -> None:
    """Print the manual page.

    \b
    latebind man | man -l -
    latebind man > /usr/local/share/man/man1/latebind.1
    """
    click.echo("\n".join(_page()))


def _page() -> Iterator[str]:
    from latebind import __version__
    from latebind.cli.group import VERBS, latebind

    yield f'.TH LATEBIND 1 "" "latebind {__version__}" "User Commands"'
    yield ".SH NAME"
    yield "latebind \\- inspect ELF files, plan what loading them does, load and call them"
    yield ".SH SYNOPSIS"
    yield ".B latebind"
    yield "[\\-\\-version] [\\-\\-help]\n.I VERB\n[\\fIARGUMENTS\\fR]"
    yield ".SH DESCRIPTION"
    yield _escaped(cleandoc(latebind.help or ""))
    yield ".SH VERBS"
    context = click.Context(latebind, info_name="latebind")
    for verb in VERBS:
        found = latebind.get_command(context, verb)
        if found is not None:
            yield from _verb(found, click.Context(found, info_name=verb, parent=context))
    yield ".SH EXIT STATUS"
    for status, meaning in (("0", "Success."), ("1", "A finding or a failure."), ("2", "A wrong command line.")):
        yield f".TP\n.B {status}\n{meaning}"
    yield ".SH ENVIRONMENT"
    yield ".TP\n.B NO_COLOR\nNo colours, unless \\fB\\-\\-color=always\\fR is given."
    yield ".TP\n.B LD_LIBRARY_PATH, LD_PRELOAD\nRead as the dynamic linker reads them."
    yield ".SH SEE ALSO\n.BR ld.so (8),\n.BR readelf (1),\n.BR elf (5)"


def _verb(found: click.Command, context: click.Context) -> Iterator[str]:
    """The part about one verb, and about those below it."""
    usage = " ".join(found.collect_usage_pieces(context))
    yield f".SS {_escaped(context.command_path)}"
    yield f".B {_escaped(context.command_path)}\n{_escaped(usage)}\n.PP"
    yield from _paragraphs(cleandoc(found.help or ""))
    for parameter in found.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and parameter.name != "help":
            yield f".TP\n.B {_escaped(record[0])}\n{_escaped(record[1])}"
    if isinstance(found, click.Group):
        for name in found.list_commands(context):
            below = found.get_command(context, name)
            if below is not None:
                yield from _verb(below, click.Context(below, info_name=name, parent=context))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):  # click's mark for "do not wrap this"
            as_it_is = _escaped(paragraph.removeprefix("\b").strip())
            yield f".nf\n{as_it_is}\n.fi\n.PP"
        else:
            yield f"{_escaped(paragraph)}\n.PP"


def _escaped(text: str) -> str:
    """Text in which roff finds nothing of its own: no escapes, hyphens as they are typed, no requests."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())
