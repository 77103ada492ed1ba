"""Versions and ranges: the examples of semver.org and of npm's documentation, and laws that hold for all of them."""

from __future__ import annotations

import itertools

import pytest
import semantic_version
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_version import NpmSpec

from latebind.contracts import Range, Version, compatible

numbers = st.integers(0, 30)
identifiers = st.one_of(numbers.map(str), st.sampled_from(["alpha", "beta", "rc", "x-1", "0a"]))
versions = st.builds(Version, numbers, numbers, numbers, st.lists(identifiers, max_size=3).map(tuple))
releases = st.builds(Version, numbers, numbers, numbers)


def v(text: str) -> Version:
    return Version.parse(text)


def test_versions_stand_in_the_order_of_the_specification() -> None:
    texts = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 2.0.0"
    )
    listed = [v(t) for t in texts.split()]
    assert all(a < b for a, b in itertools.pairwise(listed))
    assert len(set(listed)) == len(listed)


def test_build_metadata_is_kept_and_takes_no_part_in_the_order() -> None:
    assert str(v("1.0.0+linux.5")) == "1.0.0+linux.5"
    assert v("1.0.0+a") == v("1.0.0+b")
    assert hash(v("1.0.0+a")) == hash(v("1.0.0+b"))


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.-3", " 1.2.3",
     "1.2.3\n",
     "1.2.3-é", "1.2." + "9" * 400, "1.2." + "9" * 30],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"version|large"):
        Version.parse(text)


@given(versions)
def test_a_version_reads_back_as_itself(version: Version) -> None:
    assert Version.parse(str(version)) == version
    assert Version.parse(str(version)).pre == version.pre


@given(versions, versions, versions)
def test_the_order_is_total(a: Version, b: Version, c: Version) -> None:
    assert (a < b) + (a == b) + (a > b) == 1
    assert not (a < b < c) or a < c


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-alpha 1.3.0-rc.1"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.0.1 0.9.9", "1.0.0"),
        ("^1", "1.0.0 1.9.9", "2.0.0"),
        ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9.0", "1.2.3-beta.1 1.2.4-beta.3 2.0.0-rc"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.9", "2.0.0"),
        (">=1.2.7 <1.3.0", "1.2.7 1.2.99", "1.2.6 1.3.0"),
        (">=2, <3", "2.0.0 2.9.9", "3.0.0 1.9.9"),
        (">1", "2.0.0", "1.0.0 1.9.9"),
        (">1.2", "1.3.0", "1.2.9"),
        ("<=1.2", "1.2.9 0.1.0", "1.3.0"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("=1.2.3", "1.2.3 1.2.3+x", "1.2.4"),
        ("1.2.x", "1.2.0 1.2.9", "1.3.0"),
        ("1.*", "1.0.0 1.9.0", "2.0.0"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("1.2.3 || ^2.0 || >= 4", "1.2.3 2.5.0 4.0.0", "1.2.4 3.0.0"),
        ("1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5"),
        ("1.2 - 2.3", "1.2.0 2.3.9", "2.4.0 2.4.0-alpha"),
        ("1.2 - 2 || 4", "2.9.9 4.1.0", "3.0.0"),
        ("<3", "2.9.9", "3.0.0-alpha"),
        ("<0.1 >=0.0 ~0.1.0-1", "", "0.1.0-alpha.1"),
        ("1.1.0-1", "1.1.0-1", "1.1.0"),
        ("~0.1.0-rc.1", "0.1.0 0.1.1", "0.1.1-rc.2 0.2.0"),
        (">=1.0.0-rc.1", "1.0.0-rc.1 1.0.0 2.0.0", "2.0.0-rc.1 1.0.0-beta"),
    ],
)
def test_a_range_accepts_what_it_should_and_nothing_else(text: str, inside: str, outside: str) -> None:
    wanted = Range.parse(text)
    assert [t for t in inside.split() if v(t) not in wanted] == []
    assert [t for t in outside.split() if v(t) in wanted] == []


@pytest.mark.parametrize(
    "text",
    [
        "^",
        "1.2.3.4",
        "^1,",
        ">=1 <",
        "a",
        "^1.2 beta",
        "1.2.3-",
        "||y",
        ">>1",
        "^1 ,, <2",
        "9" * 300,
        "^1 - 2",
        "1 - <2",
        "1 - 2 - 3",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|large|longer"):
        Range.parse(text)


@given(releases, releases)
def test_caret_holds_the_left_most_number_that_is_not_zero(low: Version, other: Version) -> None:
    at = next((i for i, n in enumerate(low.core) if n), 2)
    expected = other >= low and other.core[: at + 1] == low.core[: at + 1]
    assert Range.parse(f"^{low}").accepts(other) == expected


@given(releases, releases)
def test_comparisons_agree_with_the_order(bound: Version, other: Version) -> None:
    assert Range.parse(f">={bound}").accepts(other) == (other >= bound)
    assert Range.parse(f"<{bound}").accepts(other) == (other < bound)
    assert Range.parse(f"<{bound} || >={bound}").accepts(other)
    assert not Range.parse(f"<{bound}, >={bound}").accepts(other)


# python-semantic-version's NpmSpec is the reference where it follows npm. It does not for pre-releases at an upper
# bound (it takes 3.0.0-alpha for `<3`), for an exact pre-release (it takes 1.1.0 for `1.1.0-1`), for `~` with one, and
# for one among several comparators. node-semver itself, and the table above, are as we are there.
def partial(whole: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    few = st.integers(0, 3)
    return (
        whole
        | st.builds("{}.{}".format, few, few)
        | few.map(str)
        | st.builds("{}.{}".format, few, st.sampled_from("xX*"))
    )


few = st.integers(0, 3)
near_releases = st.builds("{}.{}.{}".format, few, few, few)
near_versions = st.builds("{}{}".format, near_releases, st.sampled_from(["", "-alpha", "-beta.2", "-rc.1", "-1"]))
comparators = st.builds(
    "{}{}".format, st.sampled_from(["", "^", "~", ">=", "<=", "<", ">", "="]), partial(near_releases)
)
hyphens = st.builds("{} - {}".format, partial(near_releases), partial(near_releases))
ranges = st.lists(st.lists(comparators, min_size=1, max_size=3).map(" ".join) | hyphens, min_size=1, max_size=3).map(
    " || ".join
)
pre_ranges = st.builds("{}{}".format, st.sampled_from(["^", ">=", ">"]), near_versions)


@settings(max_examples=400)
@given(ranges, near_releases)
def test_ranges_of_releases_are_those_of_npm(text: str, version: str) -> None:
    assert Range.parse(text).accepts(v(version)) == NpmSpec(text).match(semantic_version.Version(version))


@settings(max_examples=300)
@given(pre_ranges, near_versions)
def test_ranges_of_pre_releases_are_those_of_npm(text: str, version: str) -> None:
    assert Range.parse(text).accepts(v(version)) == NpmSpec(text).match(semantic_version.Version(version))


@settings(max_examples=200)
@given(near_versions, near_versions)
def test_the_order_is_that_of_the_reference(a: str, b: str) -> None:
    assert (v(a) < v(b)) == (semantic_version.Version(a) < semantic_version.Version(b))


@pytest.mark.parametrize(
    ("provided", "wanted", "fits"),
    [("1.1.0", "1.2.0", True), ("1.2.0", "1.2.0", True), ("1.2.9", "1.2.0", True), ("1.3.0", "1.2.0", False),
     ("2.0.0", "1.2.0", False), ("1.2.0", "2.0.0", False), ("0.1.0", "0.1.5", True), ("0.1.0", "0.2.0", False),
     ("1.2.0-rc.1", "1.2.0", False), ("1.2.0-rc.1", "1.2.0-rc.1", True)],
)  # fmt: skip
def test_an_older_plugin_serves_a_newer_host_of_the_same_major_version(provided: str, wanted: str, fits: bool) -> None:  # noqa: FBT001
    assert (compatible(v(provided), v(wanted)) is None) == fits
