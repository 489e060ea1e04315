"""The acceptance clock: hours from the payment to the account's deadline, and what happens to each line until then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import pause_account
from orders_sync.passes.acceptance_clock import Outlook, next_passes, outlooks, runs_out_unanswered
from orders_sync.passes.waiting_lines import MAX_REQUESTS, hold_back
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

BEFORE_THE_NEXT_PASS = timedelta(hours=8)
REFUSES: dict[str, Any] = {"when_short": {"refuse_after": "20h"}}


def look(
    marketplace: Marketplace, connection: Connection, stock_list: dict[str, int] | None = None, **settings: Any
) -> list[Outlook]:
    """What becomes of the waiting lines of an account with a deadline of 24 hours, a moment from now."""
    stock = StockConnection(connection)
    if stock_list is not None:
        import_levels(stock, stock_list)
    sync(sandbox_account(marketplace))
    apply_pending(stock)
    return outlooks(stock, {"shop": account(marketplace, **settings)}, datetime.now(UTC), ScheduleSettings())


def account(marketplace: Marketplace, **settings: Any) -> SellerAccount:
    return sandbox_account(marketplace, **{"accept_orderlines": True, "acceptance_deadline": "24h", **settings})


def a_waiting_order(marketplace: Marketplace, number: int = 1, *, hours: float = 1, **fields: Any) -> None:
    an_order(marketplace, number, state=1, line_state=1, age=timedelta(hours=hours), **fields)


def test_the_time_counts_from_the_payment_and_the_first_to_run_out_comes_first(
    marketplace: Marketplace, connection: Connection
) -> None:
    a_waiting_order(marketplace, 1, hours=10)
    a_waiting_order(marketplace, 2, hours=20)
    a_waiting_order(marketplace, 3, hours=30, date_payment=(marketplace.now() - timedelta(hours=5)).isoformat())
    found = look(marketplace, connection)
    assert [(each.line.order_id, round(each.hours_left(datetime.now(UTC)) or 0)) for each in found] == [
        ("2", 4), ("1", 14), ("3", 19),
    ]  # fmt: skip


def test_the_next_pass_is_that_of_the_accounts_own_schedule(marketplace: Marketplace, connection: Connection) -> None:
    a_waiting_order(marketplace)
    (found,) = look(marketplace, connection, schedules={"new": "*/5 * * * *"})
    assert found.next_pass - datetime.now(UTC) <= timedelta(minutes=5)
    assert found.pass_after - found.next_pass == timedelta(minutes=5)
    assert next_passes([found]) == {found.next_pass: ["shop"]}


def test_without_a_deadline_there_are_no_hours_left(marketplace: Marketplace, connection: Connection) -> None:
    a_waiting_order(marketplace)
    (found,) = look(marketplace, connection, acceptance_deadline=None)
    assert (found.deadline, found.hours_left(datetime.now(UTC))) == (None, None)
    in_days = datetime.now(UTC) + timedelta(days=9)
    assert not found._replace(next_pass=in_days).runs_out_before_next_pass


@pytest.mark.parametrize(
    ("stock_list", "settings", "step"),
    [
        (None, {}, "the next pass accepts it"),
        ({"PHONE": 1}, {}, "the next pass accepts it"),
        ({"PHONE": 0}, {"when_short": "accept"}, "the next pass accepts it"),
        ({"PHONE": 0}, {}, "waits for stock: 0 of 1 available"),
        (None, REFUSES, "waits: no stock list was imported, so it is not refused"),
        ({"PHONE": 0}, {"accept_orderlines": False}, "the account does not accept lines: a person has to answer it in the back office"),
    ],
)  # fmt: skip
def test_each_line_says_what_happens_next(
    marketplace: Marketplace,
    connection: Connection,
    stock_list: dict[str, int] | None,
    settings: dict[str, Any],
    step: str,
) -> None:
    a_waiting_order(marketplace)
    (found,) = look(marketplace, connection, stock_list, **settings)
    assert found.next_step == step
    assert (found.answered_from is not None) == (step == "the next pass accepts it")


def test_a_line_that_will_be_refused_says_from_when_on_until_it_is_held_back(
    marketplace: Marketplace, connection: Connection
) -> None:
    a_waiting_order(marketplace, hours=1)
    (found,) = look(marketplace, connection, {"PHONE": 0}, **REFUSES)
    moment = found.line.waits_since + timedelta(hours=20)
    assert found.answered_from == moment
    expected = f"the first pass from {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC on refuses it, if it is still short"
    assert found.next_step == expected
    hold_back(StockConnection(connection), "shop", "1", By("ann@office", "a box is on its way"), holds=True)
    (held,) = look(marketplace, connection, **REFUSES)
    assert held.next_step == "waits for stock: 0 of 1 available; held back from refusal: a box is on its way"
    assert held.answered_from is None


def test_a_short_line_is_shown_for_an_hour_before_it_is_refused(
    marketplace: Marketplace, connection: Connection
) -> None:
    a_waiting_order(marketplace, hours=22)
    (found,) = look(marketplace, connection, {"PHONE": 0}, **REFUSES)
    assert found.answered_from == (found.line.short_since or found.line.waits_since) + timedelta(hours=1)


def test_where_one_request_decides_the_whole_order_its_lines_wait_for_one_another(
    marketplace: Marketplace, connection: Connection
) -> None:
    a_waiting_order(marketplace, skus=("CASE", "PHONE"))
    case, phone = look(marketplace, connection, {"CASE": 1, "PHONE": 0}, accept_by="order")
    assert case.next_step == "waits for the stock of the others of its order"
    assert phone.next_step == "waits for stock: 0 of 1 available"
    case, _ = look(marketplace, connection, accept_by="sku")
    assert case.next_step == "the next pass accepts it"


def test_lines_of_one_sku_are_refused_together_or_not_at_all(marketplace: Marketplace, connection: Connection) -> None:
    a_waiting_order(marketplace, hours=30, skus=("PHONE", "PHONE"))
    with_stock, short = sorted(
        look(marketplace, connection, {"PHONE": 1}, **REFUSES), key=lambda each: each.line.is_short
    )
    assert short.next_step == (
        "waits for stock: 0 of 1 available; can't be refused without the other line of its SKU, which has stock"
    )
    assert with_stock.next_step == (
        "waits for the stock of the others of its SKU; the others of its SKU can't be refused without it"
    )
    assert (short.answered_from, with_stock.answered_from) == (None, None)


def test_a_line_that_is_accepted_once_the_short_ones_of_its_order_are_refused_says_from_when_on(
    marketplace: Marketplace, connection: Connection
) -> None:
    """One request accepts an order, and another refuses a SKU of it."""
    a_waiting_order(marketplace, skus=("CASE", "PHONE"))
    case, phone = look(marketplace, connection, {"CASE": 1, "PHONE": 0}, accept_by="order", **REFUSES)
    moment = case.line.waits_since + timedelta(hours=20)
    start = f"the first pass from {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC on"
    assert case.next_step == f"{start} accepts it and refuses the others of its order, if they are still short"
    assert phone.next_step == f"{start} refuses it, if it is still short"
    assert (case.answered_from, phone.answered_from) == (moment, moment)
    hold_back(StockConnection(connection), "shop", "1", By("ann@office", "a box is on its way"), holds=True)
    case, _ = look(marketplace, connection, accept_by="order", **REFUSES)
    assert (
        case.next_step == "waits for the stock of the others of its order; held back from refusal: a box is on its way"
    )
    assert case.answered_from is None


def test_a_line_that_is_accepted_only_with_one_that_no_pass_decides_any_more_says_so(
    marketplace: Marketplace, connection: Connection
) -> None:
    a_waiting_order(marketplace, hours=30, skus=("CASE", "PHONE"))
    settings: dict[str, Any] = {"accept_by": "order", **REFUSES}
    look(marketplace, connection, {"CASE": 1, "PHONE": 0}, **settings)
    connection.execute("UPDATE stock_locks SET since = since - interval '2 hours'")
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=400, times=0)
    for _ in range(MAX_REQUESTS):
        sync(account(marketplace, **settings))
    marketplace.calm()
    case, phone = look(marketplace, connection, **settings)
    assert phone.next_step == "sent 5 times in vain: a person has to answer it in the back office"
    assert case.next_step == (
        "is accepted with a line that was sent 5 times in vain: a person has to answer both in the back office"
    )
    assert (case.answered_from, phone.answered_from) == (None, None)
    assert sync(account(marketplace, **settings)).accepted == 0


def test_a_line_that_no_pass_answers_for_now_is_not_said_to_be_accepted(
    marketplace: Marketplace, connection: Connection
) -> None:
    """The account is paused, or the sync is off: the deadline runs on meanwhile."""
    a_waiting_order(marketplace)
    (line,) = look(marketplace, connection, syncs={"new": False})
    assert (line.answered_from, line.next_step) == (
        None, "the sync `new` is switched off in the account's file, so that no pass answers it",
    )  # fmt: skip
    assert look(marketplace, connection)[0].next_step == "the next pass accepts it"
    pause_account(connection, "shop", By("ann@desk", "it moves"))
    (line,) = look(marketplace, connection)
    assert line.answered_from is None
    assert line.next_step.startswith("no pass answers it: Account shop is paused since ")


def test_lines_that_no_pass_decides_any_more_say_why(marketplace: Marketplace, connection: Connection) -> None:
    a_waiting_order(marketplace)
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=400, times=0)
    for _ in range(MAX_REQUESTS):
        sync(account(marketplace))
    (found,) = look(marketplace, connection)
    assert found.next_step == "sent 5 times in vain: a person has to answer it in the back office"
    assert found.answered_from is None


def test_while_v1_has_the_authority_it_answers_the_lines(marketplace: Marketplace, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks) "
        "VALUES ('live', 'parallel', 'a test', false, 'a test', '[]')"
    )
    a_waiting_order(marketplace)
    (found,) = look(marketplace, connection)
    assert found.next_step == "V1 answers it until V2 is live"


@pytest.mark.parametrize(
    ("hours", "stock_list", "is_late"),
    [(20, {"PHONE": 1}, True), (20, {"PHONE": 0}, False), (10, {"PHONE": 1}, False), (25, {"PHONE": 1}, False)],
)
def test_only_lines_that_a_pass_could_answer_now_are_worth_a_further_one(
    marketplace: Marketplace, connection: Connection, hours: float, stock_list: dict[str, int], is_late: bool
) -> None:
    a_waiting_order(marketplace, hours=hours)
    (found,) = look(marketplace, connection, stock_list)
    now = datetime.now(UTC)
    assert runs_out_unanswered(found._replace(next_pass=now + BEFORE_THE_NEXT_PASS), now) == is_late


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, ["2026-03-02 06:00", "2026-03-02 08:00"]), ({"frequent_new": "*/30 * * * *"}, ["2026-03-01 22:30", "2026-03-01 23:00"])],
)  # fmt: skip
def test_the_next_passes_are_counted_through_the_night(settings: dict[str, str], expected: list[str]) -> None:
    evening = datetime(2026, 3, 1, 22, 10, tzinfo=UTC)
    ticks = ScheduleSettings.model_validate(settings).next_passes_of_new(evening, 2)
    assert [f"{tick:%Y-%m-%d %H:%M}" for tick in ticks] == expected
