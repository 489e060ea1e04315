"""Readiness: what each check says about the stored comparisons, without running one."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from orders_sync.config.v1 import CutoverSettings, Readiness
from orders_sync.cutover.readiness import Check, checks_to_live, days_still_needed
from orders_sync.database.engine import Connection

TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
DAYS = 3
NO_FIGURES: Mapping[str, float] = {}


@pytest.fixture
def settings() -> CutoverSettings:
    """Two accounts, three days; V1's database is one that nobody has."""
    return CutoverSettings(
        database="NO_V1_DATABASE_URL",
        marketplaces={"back_market": "shop", "mirakl": "store"},
        readiness=Readiness(days=DAYS, agreement=99.5, calls_per_day=1000),
    )


def compared(
    connection: Connection, days_ago: int, account: str = "shop", figures: Mapping[str, float] = NO_FIGURES
) -> None:
    """A good comparison of a day's orders, but for these figures."""
    row = {
        "account": account, "day": TODAY - timedelta(days=days_ago), "orders_v1": 10, "orders_v2": 10, "only_in_v1": 0,
        "only_in_v2": 0, "differing": 0, "in_flight": 0, "agreement": 100, "locks_v1": 0, "locks_v2": 0,
        "locks_differing": 0, "first_in_v1": 0, "first_in_v2": 10, "calls_v2": 1000, "too_many_requests_v2": 0,
        "verdict": "", **figures,
    }  # fmt: skip
    connection.execute(
        "INSERT INTO migration_comparisons SELECT * FROM json_populate_record(NULL::migration_comparisons, "
        "%s::json) ON CONFLICT (account, day) DO NOTHING",
        [as_json(row)],
    )


def as_json(row: dict[str, object]) -> str:
    return json.dumps({**row, "compared_at": NOW}, default=str)


def all_good(connection: Connection) -> None:
    for account in ("shop", "store"):
        for days_ago in range(1, DAYS + 1):
            compared(connection, days_ago, account)


def checks(connection: Connection, settings: CutoverSettings) -> dict[str, Check]:
    return {check.name: check for check in checks_to_live(connection, settings, NOW)}


def test_good_comparisons_of_every_account_and_day_pass(connection: Connection, settings: CutoverSettings) -> None:
    all_good(connection)
    assert {name for name, check in checks(connection, settings).items() if check.passed} >= {
        "days compared", "agreement", "nothing missing", "locks", "API budget",
    }  # fmt: skip


def test_days_that_are_missing_are_named_and_counted(connection: Connection, settings: CutoverSettings) -> None:
    compared(connection, 1)
    compared(connection, 1, "store")
    compared(connection, DAYS + 1)  # too long ago
    compared(connection, 0)  # today is not over
    assert checks(connection, settings)["days compared"] == Check(
        "days compared",
        False,
        "4 of 6 account days are still needed: shop 2026-03-07; shop 2026-03-08; store 2026-03-07 and 1 more",
    )


@pytest.mark.parametrize(
    ("figures", "name", "finding"),
    [
        ({"agreement": 99.49}, "agreement", "shop 2026-03-08: 99.49 %"),
        ({"only_in_v1": 2}, "nothing missing", "shop 2026-03-08: 2"),
        ({"locks_differing": 3}, "locks", "shop 2026-03-08: 3"),
        (
            {"calls_v2": 1001},
            "API budget",
            "shop 2026-03-08: 1001 calls, 0 of them answered with 429 (too many requests)",
        ),
        (
            {"too_many_requests_v2": 1},
            "API budget",
            "shop 2026-03-08: 1000 calls, 1 of them answered with 429 (too many requests)",
        ),
    ],
)
def test_one_bad_figure_fails_its_check_only(
    connection: Connection, settings: CutoverSettings, figures: dict[str, float], name: str, finding: str
) -> None:
    compared(connection, 2, figures=figures)
    all_good(connection)
    found = checks(connection, settings)
    assert found[name] == Check(name, False, finding)
    others = {"days compared", "agreement", "nothing missing", "locks", "API budget"} - {name}
    assert all(found[other].passed for other in others)


def test_the_agreement_that_is_required_is_enough(connection: Connection, settings: CutoverSettings) -> None:
    compared(connection, 2, figures={"agreement": 99.5})
    all_good(connection)
    assert checks(connection, settings)["agreement"] == Check(
        "agreement", True, "at least 99.5 % of each day's orders agree"
    )


@pytest.mark.parametrize(
    ("bad_days_ago", "needed"),
    [((), 0), ((1,), 3), ((2,), 2), ((3,), 1), ((3, 1), 3)],
)
def test_the_days_still_needed_follow_the_last_bad_day(
    connection: Connection, settings: CutoverSettings, bad_days_ago: tuple[int, ...], needed: int
) -> None:
    for days_ago in bad_days_ago:
        compared(connection, days_ago, figures={"only_in_v1": 1})
    all_good(connection)
    assert days_still_needed(connection, settings, TODAY) == needed


def test_a_day_counts_only_once_every_account_is_compared(connection: Connection, settings: CutoverSettings) -> None:
    for days_ago in range(1, DAYS + 1):
        compared(connection, days_ago, "shop")
    assert days_still_needed(connection, settings, TODAY) == DAYS
