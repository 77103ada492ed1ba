"""The boundary between a command and the shell: exceptions become one message and an exit status.

It knows no click, so that a command in its plain form (plain.py) starts quickly.
"""

from __future__ import annotations

import os
import sys

from latebind.errors import LatebindError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

SUCCESS: Final = 0
FINDING: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it


def guarded(action: Callable[[], object]) -> int:
    """Call `action` and return the exit status: its own where it returns one. Errors are reported here, once."""
    _accept_any_text()
    try:
        result = action()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the prompt shall not stand behind ^C
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # there is nobody left to write to
        return FINDING
    except (LatebindError, OSError) as error:
        try:
            sys.stdout.flush()
        except OSError as unwritable:  # a full disk, for example; it may be `error` itself, met again
            _drop_output()
            if str(unwritable) != str(error):
                complain(unwritable)
        complain(error)
        return FINDING
    return result if isinstance(result, int) else SUCCESS


def complain(error: Exception | str) -> None:
    """One message on standard error, after everything that was printed before."""
    sys.stdout.flush()
    print(f"latebind: {error}", file=sys.stderr)


def _drop_output() -> None:
    """Let standard output lead nowhere: what is left in its buffer would be written, and fail, again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _accept_any_text() -> None:
    """Names of files are bytes, and not every terminal speaks UTF-8: printing must not fail on either."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            encoding = (stream.encoding or "").lower().replace("-", "")
            stream.reconfigure(errors="surrogateescape" if encoding == "utf8" else "backslashreplace")
