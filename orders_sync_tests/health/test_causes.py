"""Findings with one cause are one trouble."""

from orders_sync.health.causes import Examined, not_loaded, troubles
from orders_sync.health.finding import Finding, Level

TICK = "did not run at its last tick"


def test_findings_of_several_lanes_are_one_trouble_and_what_is_well_is_none() -> None:
    found = [Examined("lanes", Finding(False, TICK, "run it", lane, kind="silent")) for lane in ("a/new", "b/new")]
    (trouble,) = troubles([Examined("database", Finding(True, "answers")), *found])
    assert (trouble.examination, [each.about for each in trouble.like], trouble.follows) == (
        "lanes", ["a/new", "b/new"], [],
    )  # fmt: skip


def test_lanes_that_miss_ticks_since_the_daemon_is_dead_are_no_trouble_of_their_own() -> None:
    daemon = Examined("daemon", Finding(False, "the scheduler daemon is not alive", kind="daemon"))
    silent = Examined("lanes", Finding(False, TICK, about="a/new", kind="silent"))
    waiting = Examined("records", Finding(False, "3 order events wait", about="a", kind="waiting events"))
    failed = Examined("lanes", Finding(False, "its last run failed: 500", about="a/care", kind="failed"))
    first, second = troubles([daemon, silent, failed, waiting])
    assert first.finding is daemon.finding
    assert [each.finding for each in first.follows] == [silent.finding, waiting.finding]
    assert second.finding is failed.finding


def test_lanes_that_have_no_schedule_yet_follow_from_their_account_that_waits_for_a_reload() -> None:
    added = Examined("code location", Finding(False, "added", about="a/defs.yaml", kind=not_loaded("a")))
    silent = [Examined("lanes", Finding(False, TICK, about=lane, kind="silent")) for lane in ("a/new", "ab/new")]
    first, second = troubles([added, *silent])
    assert [each.finding for each in first.follows] == [silent[0].finding]
    assert second.finding is silent[1].finding


def test_a_finding_that_quotes_an_earlier_one_follows_from_it() -> None:
    missing = Examined("accounts", Finding(False, "shop/defs.yaml: token: X is not set", "Set it"))
    refused = Examined("lanes", Finding(False, "pauses: shop/defs.yaml: token: X is not set", about="shop/new"))
    (trouble,) = troubles([missing, refused])
    assert [each.finding for each in trouble.follows] == [refused.finding]


def test_a_database_that_does_not_answer_is_one_trouble_for_all_examinations() -> None:
    names = ("database", "lanes", "records")
    (trouble,) = troubles([Examined(name, Finding(False, "does not answer", kind="examination")) for name in names])
    assert trouble.examination == "database"
    assert [each.examination for each in trouble.follows] == ["lanes", "records"]


def test_a_warning_can_wait() -> None:
    found = Finding(False, "40 items whose stock can't be locked", level=Level.WARNING)
    (trouble,) = troubles([Examined("records", found)])
    assert trouble.is_warning
