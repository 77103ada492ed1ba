"""A verb whose command line is another tool's: click hands over every word as it is."""

from __future__ import annotations

import click


class RawCommand(click.Command):
    """A command with one parameter, `arguments`: the words behind the verb, ``--`` and ``--help`` among them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take all words without looking at them."""
        ctx.params["arguments"] = tuple(args)
        return []
