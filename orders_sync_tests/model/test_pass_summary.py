"""The summary of a pass as the sum of its parts."""

from datetime import UTC, datetime
from typing import Any

from orders_sync.model.pass_summary import PassSummary

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_figures_and_problems_are_added_and_moments_replaced() -> None:
    summary = PassSummary(range_start=AT, range_end=AT)
    summary.add(PassSummary(fetched=2, created=1, throttled_seconds=0.5, problems=["one"]))
    summary.add(PassSummary(fetched=3, throttled_seconds=0.25, range_end=AT.replace(day=2), problems=["two", "three"]))
    assert summary == PassSummary(
        fetched=5, created=1, throttled_seconds=0.75, range_start=AT, range_end=AT.replace(day=2),
        problems=["one", "two", "three"],
    )  # fmt: skip


def test_no_figure_is_forgotten() -> None:
    ones: dict[str, Any] = dict.fromkeys(PassSummary().numbers(), 1)
    summary = PassSummary()
    summary.add(PassSummary(**ones))
    summary.add(PassSummary(**ones))
    assert set(summary.numbers().values()) == {2}


def test_a_problem_is_one_line_whatever_an_id_has() -> None:
    summary = PassSummary()
    summary.add(PassSummary(problems=["order 5\n2026-11-28 ERROR all is lost rejected: x"]))
    assert summary.problems == ["order 5 2026-11-28 ERROR all is lost rejected: x"]
