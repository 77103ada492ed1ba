"""Capabilities: what a plugin may do beyond computing, as text that a person can grant.

`kind[:action[:argument]]`: `network:connect:443`, `filesystem:read:/usr/share/dict`, `environment:LANG`, `threads`.
What is left out means all of it: `network` covers `network:connect`, which covers `network:connect:443`. A folder
covers what lies in it. `KINDS` is the whole vocabulary.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Argument(StrEnum):
    """What a capability's last part is."""

    NONE = "nothing"
    PORT = "a port number from 1 to 65535"
    PATH = "an absolute path without . and .. in it"
    NAME = "the name of an environment variable"


# kind → action → what its argument is. A kind whose only action is "" takes its argument directly.
KINDS: Final[dict[str, dict[str, Argument]]] = {
    "network": {"connect": Argument.PORT, "listen": Argument.PORT},
    "filesystem": {"read": Argument.PATH, "write": Argument.PATH},
    "process": {"execute": Argument.PATH, "fork": Argument.NONE, "signal": Argument.NONE, "trace": Argument.NONE},
    "environment": {"": Argument.NAME},
    "threads": {"": Argument.NONE},
    "code": {"load": Argument.NONE, "write": Argument.NONE},
    "system": {"call": Argument.NONE, "admin": Argument.NONE},
}


@dataclass(frozen=True, slots=True)
class Capability:
    """One capability; an empty `action` or `argument` stands for all of them."""

    kind: str
    action: str = ""
    argument: str = ""

    @classmethod
    def parse(cls, text: str) -> Capability:
        """The capability that `text` names; ValueError says what is wrong and what is known."""
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"{text!r}: unknown kind of capability {kind!r}{_known(kind, KINDS)}")
        actions = KINDS[kind]
        action, argument = ("", rest) if "" in actions else rest.partition(":")[::2]
        if action not in actions and action:
            raise ValueError(f"{text!r}: {kind} has no action {action!r}{_known(action, actions)}")
        if text != ":".join(part for part in (kind, action, argument) if part):
            raise ValueError(f"{text!r}: a part between colons is empty")
        if argument:
            _check(text, actions[action], argument)
        return cls(kind, action, argument)

    def covers(self, wanted: Capability) -> bool:
        """Whether granting this one grants `wanted`."""
        if self.kind != wanted.kind or (self.action and self.action != wanted.action):
            return False
        if not self.argument or self.argument == wanted.argument:
            return True
        folder = self.argument.rstrip("/") + "/"
        return KINDS[self.kind][self.action] is Argument.PATH and wanted.argument.startswith(folder)

    def touches(self, family: Capability) -> bool:
        """Whether this one lies in `family` or covers it: an import of `open` is in order for whoever may read a file.

        Which file it will be cannot be seen in an import; in inline isolation nobody checks it.
        """
        return self.covers(family) or family.covers(self)

    def __str__(self) -> str:
        return ":".join(part for part in (self.kind, self.action, self.argument) if part)


def covered(wanted: Capability, grants: Iterable[Capability]) -> bool:
    """Whether one of the grants covers `wanted`."""
    return any(grant.covers(wanted) for grant in grants)


def _fits(expected: Argument, argument: str) -> bool:
    match expected:
        case Argument.PORT:
            return re.fullmatch("[1-9][0-9]{0,4}", argument) is not None and int(argument) < 65536
        case Argument.PATH:  # POSIX gives // a meaning of its own
            return argument.startswith("/") and posixpath.normpath(argument) == argument != "//"
        case Argument.NAME:
            return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", argument) is not None
        case Argument.NONE:
            return False


def _check(text: str, expected: Argument, argument: str) -> None:
    if not _fits(expected, argument):
        raise ValueError(f"{text!r}: {argument!r} should be {expected}")


def _known(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(words))}"
