"""The command `latebind`: one file per verb, each imported when it is called.

Data goes to standard output, messages to standard error. The exit status is 0 for success, 1 for a finding or a
failure, 2 for a wrong command line.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process and return its exit status."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:  # answered before anything is imported
        from latebind import __version__

        print(f"latebind {__version__}")
        return 0
    from latebind.cli.boundary import guarded
    from latebind.cli.plain import plain_form

    action = plain_form(arguments)
    if action is None:
        from latebind.cli.group import call as action  # type: ignore[assignment]
    return guarded(action)
