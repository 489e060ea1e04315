"""`orders-sync cutover check`: what must be corrected in v1.yaml is found, and nothing else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, create_engine, text

from orders_sync.cli.output import console
from orders_sync.config import v1 as settings_of_v1
from orders_sync.config.v1 import check_cutover_settings
from orders_sync.cutover.v1_check import (
    MarketplaceCheck,
    V1Check,
    ZoneOffset,
    check_v1,
    checked_zone,
    clock_skew,
    measured_currencies,
    measured_zone_offset,
    what_is_not_compared,
)
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cutover.origin import TABLES, add, build, item, lock, order, variation
from orders_sync_tests.cutover.v1_servers import SERVERS

pytestmark = pytest.mark.xdist_group("v1")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = NOON - timedelta(days=3), NOON + timedelta(days=3)
Row = tuple[str, dict[str, object]]


def stored(moment: datetime, hours: float) -> datetime:
    """A moment as a server stores it whose zone is so many hours ahead of UTC."""
    return moment.replace(tzinfo=None) + timedelta(hours=hours)


def times(hours: float, count: int = 5, start: datetime = NOON) -> list[tuple[datetime, datetime]]:
    moments = [start + timedelta(minutes=7 * number) for number in range(count)]
    return [(stored(moment, hours), moment) for moment in moments]


def test_the_offset_is_that_of_most_orders() -> None:
    assert measured_zone_offset([]) == ZoneOffset(None, 0, 0)
    nepal = times(5.75, 4)
    nepal[0] = (nepal[0][0] + timedelta(seconds=59), nepal[0][1])  # V2 knows more than V1's whole seconds
    odd = [(stored(NOON, 2) + timedelta(minutes=7), NOON), (stored(NOON, 24 * 30), NOON)]
    assert measured_zone_offset(nepal + odd + times(0, 2)) == ZoneOffset(timedelta(hours=5, minutes=45), 4, 8)


@pytest.mark.parametrize(
    ("configured", "hours", "start", "right", "suggested"),
    [
        ("UTC", 0, NOON, 5, None),
        ("Europe/Berlin", 2, NOON, 5, None),
        ("Europe/Berlin", 1, NOON + timedelta(days=180), 5, None),
        ("UTC", 2, NOON, 0, "Europe/Berlin"),
        ("Europe/Berlin", 0, NOON, 0, "UTC"),
        ("UTC", 1, NOON, 0, "Europe/London"),
        ("UTC", 5.75, NOON, 0, "Asia/Kathmandu"),
        ("UTC", 13.25, NOON, 0, None),  # of no zone
    ],
)
def test_a_wrong_zone_is_found_with_the_right_one(
    configured: str, hours: float, start: datetime, right: int, suggested: str | None
) -> None:
    made = checked_zone(configured, times(hours, start=start))
    assert (made.right, made.suggested) == (right, suggested)


def test_over_the_change_of_time_the_zone_is_the_one_that_fits_both_offsets() -> None:
    pairs = times(2, 3) + times(1, 3, NOON + timedelta(days=180))
    assert checked_zone("UTC", pairs).suggested == "Europe/Berlin"
    assert checked_zone("Europe/Berlin", pairs).suggested is None


def test_the_skew_is_measured_from_the_middle_of_question_and_answer() -> None:
    asked, answered = NOON, NOON + timedelta(seconds=4)
    seen = [("1", NOON - timedelta(minutes=3), NOON), ("2", NOON - timedelta(seconds=30), NOON), ("3", answered, NOON)]
    made = clock_skew(NOON + timedelta(seconds=92), asked, answered, seen)
    assert made == (90.0, 2.0, 3, 1, ("1: 180 s",))


def test_a_currency_is_the_one_that_most_orders_have() -> None:
    assert measured_currencies([("1", "EUR"), ("1", "EUR"), ("1", "GBP"), ("2", "GBP")]) == {"1": "EUR", "2": "GBP"}


def test_what_is_null_is_not_compared() -> None:
    orders, items = {"seen_at": None, "total": None}, {"status": None}
    settings = check_cutover_settings({"tables": {"orders": orders, "items": items, "locks": None}}, "v1.yaml")
    assert [each.why for each in what_is_not_compared(settings)] == [
        "tables.orders.total is null", "tables.orders.seen_at is null", "tables.items.status is null",
        "tables.locks is null", "tables.levels is null",
    ]  # fmt: skip


@pytest.fixture(params=SERVERS)
def origin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The origin's database: ten orders at Back Market, and of each other marketplace four, at Berlin's time."""
    url = request.getfixturevalue(request.param)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    rows: list[Row] = [variation(1, "PHONE")]
    for marketplace, count in ((1, 10), (3, 4), (4, 4)):
        for number in range(count):
            key = 100 * marketplace + number
            at = stored(NOON + timedelta(hours=number), 2).isoformat(" ")
            rows.append(
                order(key, f"{key}", marketplace, reference=f"r-{key}", at=at, updated=at, currency=marketplace)
            )
            rows += [item(key, key, f"i{key}"), lock(key, key, "locked")]
    build(engine, rows)
    monkeypatch.setenv("V1_DATABASE_URL", url)
    yield engine
    with engine.begin() as connection:
        for name in TABLES:
            connection.execute(text(f"DROP TABLE {name}"))
    engine.dispose()


CURRENCIES = {1: "EUR", 3: "GBP", 4: "EUR"}
MAPPED: Mapping[Any, Any] = {1: "bm", 3: "bm_pro", 4: "refurbed"}


@pytest.fixture
def both(origin: Engine, connection: Connection) -> Connection:
    """V2 has all of these orders."""
    for account, ids, currency in (
        ("bm", [f"{100 + number}" for number in range(10)], "EUR"),
        ("bm_pro", [f"{300 + number}" for number in range(4)], "GBP"),
        ("refurbed", [f"r-{400 + number}" for number in range(4)], "EUR"),
    ):
        store(connection, account, ids, currency)
    return connection


def store(connection: Connection, account: str, ids: Sequence[str], currency: str) -> None:
    for number, order_id in enumerate(ids):
        connection.execute(
            "INSERT INTO orders (account, order_id, status, created_at, currency, raw, fingerprint) "
            "VALUES (%s, %s, 'accepted', %s, %s, '{}', '')",
            [account, order_id, NOON + timedelta(hours=number), currency],
        )


def checked(connection: Connection, orders: Mapping[str, Any] | None = None, **more: Any) -> V1Check:
    document = {
        "preset": "laravel_marketplaces", "timezone": "Europe/Berlin", "marketplaces": MAPPED,
        "tables": {"orders": {"currencies": CURRENCIES, **(orders or {})}}, **more,
    }  # fmt: skip
    with V1Database(check_cutover_settings(document, "v1.yaml")) as v1:
        return check_v1(v1, connection, ["bm", "bm_pro", "refurbed", "mirakl"], *DAYS)


def test_a_right_mapping_has_no_problem(both: Connection, origin: Engine) -> None:
    add(origin, [order(1, None), order(2, "2", type_=1), order(3, "3", at="2020-01-01 00:00:00", updated=None)])
    made = checked(both)
    assert made.problems == ()
    offset = timedelta(hours=2)
    assert made.marketplaces == (
        MarketplaceCheck("1", "bm", 13, 1, 1, 11, 10, offset),
        *(
            MarketplaceCheck(name, MAPPED[int(name)], 4, 0, 0, 4, 4, offset)
            for name in sorted("34", key=made_first(made))
        ),
    )
    assert (made.zone.configured, made.zone.right, made.zone.measured) == ("Europe/Berlin", 18, (offset, 18, 18))
    assert made.clock is not None
    assert abs(made.clock.seconds) < 5
    assert made.accounts_without_v1 == ("mirakl",)
    assert {each.finding.kind for each in made.odd} == {"orders without an id"}
    assert {each.what for each in made.not_compared} >= {"which of the two saw an order first", "pieces on hand"}
    assert (made.unmapped_marketplaces, made.currencies) == ((), {})


def made_first(made: V1Check) -> Any:
    """The order in which the check has the marketplaces: that of equal counts is the database's."""
    return [each.marketplace for each in made.marketplaces].index


def one(problems: Sequence[str]) -> str:
    (problem,) = problems
    return problem


def test_a_wrong_zone_must_be_corrected(both: Connection) -> None:
    assert one(checked(both, timezone="UTC").problems) == (
        "v1.yaml: timezone: UTC is not the zone of V1's times: they are right for 0 of 18 orders. Write "
        "`timezone: Europe/Berlin`, or another zone that is UTC+02:00 in these days."
    )


def test_marketplaces_in_different_zones_are_reported(both: Connection) -> None:
    both.execute("UPDATE orders SET created_at = created_at + interval '2 hours' WHERE account = 'refurbed'")
    problem = one(checked(both).problems)
    assert "the times of V1's marketplaces are in different zones (" in problem
    assert "4: UTC+00:00" in problem


def test_times_that_are_those_of_no_zone_are_reported(both: Connection) -> None:
    both.execute("UPDATE orders SET created_at = created_at - interval '7 minutes'")
    assert "v1.yaml: tables.orders.ordered_at: the times of V1 are those of V2 for 0 of 18 orders" in one(
        checked(both).problems
    )


def test_a_marketplace_that_is_not_mapped_is_one_to_add_if_v2_has_its_orders(both: Connection) -> None:
    made = checked(both, marketplaces={1: "bm", 4: "refurbed"})
    assert made.unmapped_marketplaces == ("3",)
    assert one(made.problems) == (
        "v1.yaml: marketplaces: V2 has the orders of V1's marketplace 3 under bm_pro, and it is not mapped. Write "
        "`3: bm_pro`."
    )
    both.execute("DELETE FROM orders WHERE account = 'bm_pro'")
    made = checked(both, marketplaces={1: "bm", 4: "refurbed"})
    assert (made.unmapped_marketplaces, made.problems) == (("3",), ())


def test_a_marketplace_that_v1_does_not_have_is_reported(both: Connection) -> None:
    problem = one(checked(both, marketplaces={**MAPPED, 30: "bm_pro"}).problems)
    assert problem.startswith("v1.yaml: marketplaces.30: V1 has no orders of 30; it has 1, ")


def test_ids_that_are_no_ids_of_the_marketplace_are_reported(both: Connection) -> None:
    orders = {"by_marketplace": {4: {"order_id": "reference_id"}}}
    problem = one(checked(both, orders).problems)
    assert problem.startswith("v1.yaml: tables.orders.order_id: V1 and V2 both have orders of refurbed of these days")


def test_currencies_statuses_and_states_without_a_meaning_are_reported(both: Connection, origin: Engine) -> None:
    add(
        origin,
        [
            order(1, "1", status=42), order(2, "2", status=None), item(1, 1, "1", status=43), lock(1, 1, "reserved"),
        ],
    )  # fmt: skip
    made = checked(both, {"currencies": {4: "EUR"}})
    assert made.currencies == {"1": "EUR", "3": "GBP"}
    assert [problem for problem in made.problems if "currencies" not in problem] == [
        "v1.yaml: order_statuses: nothing is given for what V1 has of bm: 42: 1 rows.",
        "v1.yaml: item_statuses: nothing is given for what V1 has of bm: 43: 1 rows.",
        "v1.yaml: tables.locks.states: nothing is given for what V1 has of bm: reserved: 1 rows.",
    ]
    of_currencies = [problem for problem in made.problems if "currencies" in problem]
    assert len(of_currencies) == 2
    assert all("By V2's orders it is {1: EUR, 3: GBP}." in problem for problem in of_currencies)


def test_a_clock_that_goes_wrong_and_a_first_sight_before_the_order_are_reported(
    both: Connection, origin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with origin.begin() as connection:
        connection.execute(text("UPDATE orders SET processed_at = '2026-06-01 10:00:00'"))
    monkeypatch.setattr(V1Database, "clock", lambda self: datetime.now(UTC) - timedelta(seconds=300))
    made = checked(both, {"seen_at": "processed_at"})
    behind, early = made.problems
    assert "its clock is 300 s behind ours" in behind
    assert early.startswith("v1.yaml: tables.orders.seen_at: V1 has 18 of 18 orders from before the buyer ordered")


def test_a_statement_that_takes_too_long_is_a_problem_and_the_rest_is_checked(both: Connection, origin: Engine) -> None:
    sleep = "SLEEP(5) = 0" if origin.dialect.name != "postgresql" else "pg_sleep(5) IS NOT NULL"
    document = {
        "preset": "laravel_marketplaces", "timezone": "Europe/Berlin", "marketplaces": MAPPED,
        "tables": {"orders": {"currencies": CURRENCIES}, "locks": {"where": sleep}},
    }  # fmt: skip
    with V1Database(check_cutover_settings(document, "v1.yaml"), statement_seconds=1) as v1:
        made = check_v1(v1, both, ["bm"], *DAYS)
    assert len(made.marketplaces) == 3
    assert made.clock is not None
    assert len(made.problems) == 3
    assert [problem.split(":")[0] for problem in made.problems] == [f"odd rows of {each}" for each in MAPPED.values()]
    assert all(" can't be read: " in problem for problem in made.problems)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of V1's settings of a project with the accounts of the origin."""
    for name in ("bm", "bm_pro", "refurbed"):
        folder = tmp_path / "accounts" / name
        folder.mkdir(parents=True)
        (folder / "defs.yaml").write_text("type: orders_sync.components.account.Account\nattributes: {}\n")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path / "accounts")
    monkeypatch.setattr(settings_of_v1, "accounts_folder", lambda: tmp_path / "accounts")
    monkeypatch.setattr(settings_of_v1, "v1_file", lambda: tmp_path / "v1.yaml")
    return tmp_path / "v1.yaml"


def test_the_command_says_what_to_write_and_fails_until_it_is_written(
    both: Connection, origin: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V1 and V2 have the orders of the last days; the preset, the marketplaces and what the check says are enough."""
    shift = datetime.now(UTC) - NOON - timedelta(days=1)
    both.execute("UPDATE orders SET created_at = created_at + %s", [shift])
    with origin.begin() as connection:
        connection.execute(text("UPDATE orders SET updated_at = NULL"))
        for (key,) in connection.execute(text("SELECT id FROM orders")).all():
            local = (NOON + shift + timedelta(hours=key % 100)).replace(tzinfo=None)
            connection.execute(text("UPDATE orders SET created_at = :at WHERE id = :id"), {"at": local, "id": key})
    document: dict[str, Any] = {
        "preset": "laravel_marketplaces", "marketplaces": dict(MAPPED), "timezone": "Asia/Kathmandu",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(document))
    failed = run("cutover", "check")
    assert failed.exit_code == 1, failed.output
    assert "Asia/Kathmandu is not the zone of V1's times" in failed.stderr
    assert "tables.orders.currencies" in failed.stderr
    assert "bm_pro" in failed.stdout
    as_json = run("cutover", "check", "--days", "3", "--json")
    assert as_json.exit_code == 1
    made = json.loads(as_json.stdout)
    document["timezone"] = made["zone"]["suggested"]
    document["tables"] = {"orders": {"currencies": made["currencies"]}}
    file.write_text(yaml.safe_dump(document))
    monkeypatch.setattr(console, "width", 80)
    passed = run("cutover", "check")
    assert max(map(len, passed.stdout.splitlines())) <= 80
    assert (passed.exit_code, "V1 can be read as v1.yaml says." in passed.stdout) == (0, True), passed.output
