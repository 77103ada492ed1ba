"""The command `latebind`: one file per verb, each imported when it is called.

Data goes to standard output, messages to standard error. The exit status is 0 for success, 1 for a finding or a
failure, 2 for a wrong command line.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> int:
    """Run the command line of this process and return its exit status."""
    return _run(sys.argv[1:])[0]


def command() -> NoReturn:
    """The same, and end the process."""
    status, has_only_read = _run(sys.argv[1:])
    if has_only_read:
        # All is written, and nothing is open that the system does not close. The interpreter would first free every
        # object one by one, which takes as long as half of `latebind deps /bin/ls` did.
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _run(arguments: list[str]) -> tuple[int, bool]:
    """The exit status, and whether the verb did nothing but read files and print."""
    if arguments == ["--version"]:  # answered before anything is imported
        from latebind import __version__

        print(f"latebind {__version__}")
        return 0, False
    from latebind.cli.boundary import guarded
    from latebind.cli.plain import plain_form

    action = plain_form(arguments)
    if action is not None:
        return guarded(action), True
    from latebind.cli.group import call

    return guarded(call), False
