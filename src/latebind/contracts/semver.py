"""Versions and ranges of Semantic Versioning 2.0.0 (semver.org), with the range operators of npm.

`Version` orders as section 11 of the specification says; build metadata is kept and does not take part in the order.
A `Range` is alternatives (`||`) of comparators that must all hold (blank or comma): `^1.2`, `~1.2.3`, `>=1, <3`,
`1.x`, `*`, and `1.2 - 2.3` with both ends in it. A pre-release satisfies an alternative only when one of its
comparators names a pre-release of the same major.minor.patch: who asks for `>=1.0.0` did not ask for `2.0.0-alpha`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_TAIL = rf"(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER}){_TAIL}")
_PART = rf"(?:{_NUMBER}|[xX*])"
_COMPARATOR = re.compile(
    rf"(?P<op>\^|~|>=|<=|>|<|=)?\s*v?(?P<major>{_PART})(?:\.(?P<minor>{_PART})(?:\.(?P<patch>{_PART}){_TAIL})?)?"
)
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_LONGEST = 256  # characters of a version or range; ranges come from untrusted manifests
_MOST_DIGITS = 18  # of one number, so that it fits 64 bits everywhere


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version. `pre` holds the dot-separated identifiers of the pre-release, `build` the build metadata."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: str = field(default="")

    @classmethod
    def parse(cls, text: str) -> Version:
        """`1.4.2-rc.1+linux` as a version; raises ValueError saying what is wrong."""
        match = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            raise ValueError(f"{_shorten(text)} is not a version like 1.4.2 or 2.0.0-rc.1 (semver.org)")
        major, minor, patch = (_number(match[name]) for name in ("major", "minor", "patch"))
        return cls(major, minor, patch, tuple(match["pre"].split(".")) if match["pre"] else (), match["build"] or "")

    @property
    def core(self) -> tuple[int, int, int]:
        """major, minor, patch."""
        return self.major, self.minor, self.patch

    def _key(self) -> tuple[object, ...]:
        # Section 11: a release follows its pre-releases; numeric identifiers come before alphanumeric ones and
        # compare as numbers; a longer row of identifiers follows its own beginning.
        identifiers = tuple((0, int(i), "") if i.isdecimal() else (1, 0, i) for i in self.pre)
        return self.core, not self.pre, identifiers

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._key() < other._key() if isinstance(other, Version) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        pre = "-" + ".".join(self.pre) if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}" + (f"+{self.build}" if self.build else "")


@dataclass(frozen=True, slots=True)
class Comparator:
    """`operator version` with one of `>= > <= < =`."""

    operator: str
    version: Version

    def accepts(self, version: Version) -> bool:
        """Whether the version stands in that order to ours."""
        if self.operator == "=":
            return version == self.version
        if self.operator in {"<", "<="}:
            return version < self.version or (self.operator == "<=" and version == self.version)
        return version > self.version or (self.operator == ">=" and version == self.version)

    def __str__(self) -> str:
        return f"{self.operator}{self.version}"


@dataclass(frozen=True, slots=True)
class Range:
    """Alternatives of comparators; `text` is how it was written and takes no part in comparison."""

    alternatives: tuple[tuple[Comparator, ...], ...]
    text: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Range:
        """A range; raises ValueError saying which part is wrong. The empty text is `*`."""
        if len(text) > _LONGEST:
            raise ValueError(f"{_shorten(text)} is longer than {_LONGEST} characters")
        return cls(tuple(_alternative(part, text) for part in text.split("||")), text.strip() or "*")

    def accepts(self, version: Version) -> bool:
        """Whether the version lies in the range."""
        return any(_holds(comparators, version) for comparators in self.alternatives)

    def __contains__(self, version: Version) -> bool:
        return self.accepts(version)

    def __str__(self) -> str:
        return self.text


def compatible(provided: Version, wanted: Version) -> str | None:
    """Why a plugin built against contract version `provided` cannot serve a host at `wanted`, or None if it can.

    Within one major version (one minor version while the major is 0) a contract only grows, so an older plugin
    serves a newer host, which treats what is missing as not provided. A newer plugin may need what the host lacks.
    """
    if provided.major != wanted.major or (wanted.major == 0 and provided.minor != wanted.minor):
        return "the versions break with each other"
    if provided.minor > wanted.minor:
        return "the plugin needs a newer contract than the host has"
    if (provided.pre or wanted.pre) and provided != wanted:
        return "a pre-release promises compatibility with nothing but itself"
    return None


def _holds(comparators: tuple[Comparator, ...], version: Version) -> bool:
    if not all(c.accepts(version) for c in comparators):
        return False
    return not version.pre or any(c.version.pre and c.version.core == version.core for c in comparators)


def _alternative(text: str, whole: str) -> tuple[Comparator, ...]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        if any(end[0] in "^~<>=" for end in hyphen.groups()):
            raise ValueError(f"{_shorten(text)} in the range {whole!r}: a hyphen stands between versions only")
        text = ">={} <={}".format(*hyphen.groups())
    found: list[Comparator] = []
    rest = text.strip()
    while rest:
        match = _COMPARATOR.match(rest)
        after = rest[match.end() :] if match else ""
        if match is None or (after and not re.match(r"\s*,\s*\S|\s+\S", after)):
            raise ValueError(f"{_shorten(rest)} in the range {whole!r} is not a comparison like ^1.2, ~1.2.3 or >=1.0")
        found += _comparators(match)
        rest = re.sub(r"^\s*,?\s*", "", after)
    return tuple(found)


def _comparators(match: re.Match[str]) -> list[Comparator]:
    """One written comparison as comparators; parts that are missing or wild make it an interval."""
    parts: list[int] = []
    for name in ("major", "minor", "patch"):
        if match[name] is None or match[name] in "xX*":
            break
        parts.append(_number(match[name]))
    operator = match["op"] or "="
    complete = len(parts) == 3
    major, minor, patch = [*parts, 0, 0, 0][:3]
    low = Version(major, minor, patch, tuple(match["pre"].split(".")) if complete and match["pre"] else ())
    if not parts:
        return [Comparator("<", Version(0, 0, 0))] if operator in {"<", ">"} else []
    if operator == "^":
        # The left-most part that is not 0 stays; while all known parts are 0, the last known one does.
        keep = next((i for i, part in enumerate(parts) if part), len(parts) - 1)
        return [Comparator(">=", low), Comparator("<", _next(parts, keep))]
    if operator == "~":
        return [Comparator(">=", low), Comparator("<", _next(parts, min(1, len(parts) - 1)))]
    if complete:
        return [Comparator(operator, low)]
    after = _next(parts, len(parts) - 1)
    return {
        "=": [Comparator(">=", low), Comparator("<", after)],
        ">=": [Comparator(">=", low)],
        "<": [Comparator("<", Version(*low.core, _FIRST))],
        ">": [Comparator(">=", Version(*after.core))],
        "<=": [Comparator("<", after)],
    }[operator]


_FIRST = ("0",)  # the pre-release before all others of its version: `^1.2.3-rc.1` does not mean 2.0.0-alpha


def _next(parts: list[int], place: int) -> Version:
    numbers = [*parts[:place], parts[place] + 1, 0, 0][:3]
    return Version(numbers[0], numbers[1], numbers[2], _FIRST)


def _number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"the number {_shorten(digits)} is too large for a version")
    return int(digits)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
