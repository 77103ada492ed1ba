"""`python -m latebind`: the same as the command `latebind`."""

from __future__ import annotations

from latebind.cli import command

if __name__ == "__main__":
    command()
