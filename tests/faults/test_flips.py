"""Damaged libraries: a plan or an error, never a crash of the linker; how it is told stands in flips.py and crash.c."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from campaign import Campaign, Outcome  # type: ignore[import-not-found]  # beside this test


@pytest.mark.parametrize(("what", "count"), [("plan", 600), ("load", 200)])
def test_damage_is_refused_or_harmless(tmp_path: Path, what: str, count: int) -> None:
    outcome = Campaign(tmp_path, real=()).batch(what, count, 1)
    assert outcome.finding == ""
    assert outcome.count == count
    assert outcome.well > 0
    assert outcome.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize(("what", "count", "seed"), [
    *(("plan", 25_000, seed) for seed in range(2, 6)),
    *(("load", 4000, seed) for seed in range(6, 10)),
])  # fmt: skip
def test_a_hundred_thousand_damaged_files(tmp_path: Path, what: str, count: int, seed: int) -> None:
    total = Outcome(0, 0, 0)
    for outcome in Campaign(tmp_path).all(what, count, seed, 1):
        assert outcome.finding == ""
        total += outcome
    assert total.count == count
    assert total.well > count / 2
    assert total.refused > count / {"plan": 40, "load": 10}[what]


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, real=())
    (campaign.outcomes / "plan-2000-3000000.json").write_text(json.dumps([1990, 10, 0, ""]))
    assert list(campaign.all("plan", 2000, 3, 1)) == [Outcome(1990, 10, 0)]


def test_a_batch_that_another_campaign_runs_is_left_to_it(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, real=())
    with (campaign.outcomes / "plan-10-1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert campaign.batch("plan", 10, 1) is None
    assert campaign.batch("plan", 10, 1).count == 10


def test_a_finding_is_kept_with_what_to_repeat_it_by(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, real=())
    campaign.paths = [str(tmp_path / "none.so")]
    outcome = campaign.batch("plan", 10, 7)
    assert "plan, seed 7: status 1" in outcome.finding
    assert campaign.batch("plan", 10, 7) == outcome
