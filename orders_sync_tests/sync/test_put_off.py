"""Records that can't be fetched: each is put off and fetched later. A marketplace that is down fails the pass."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stamina

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.retries import MAX_TRIES
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.sandbox.formats import iso
from orders_sync.testing.invariants import check_invariants, nothing_changed
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

REASONS = "SELECT kind, record_id, reasons->0->>'what' FROM rejected_records WHERE resolved_at IS NULL ORDER BY 1, 2"
WATERMARK = "SELECT watermark FROM lanes WHERE sync_type = %s"
HTML = {"body": "<html>Just a moment…</html>"}


@pytest.fixture(autouse=True)
def without_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_TRIES):
        yield


def folders(marketplace: Marketplace, *numbers: int) -> None:
    for number in numbers:
        marketplace.put_folder(number, number)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 404}, "could not be fetched: 404"),
        ({"kind": "status", "status": 403}, "could not be fetched: 403"),
        ({"kind": "status", "status": 403, **HTML}, "could not be fetched: 403"),
        ({"kind": "status", "status": 500}, "could not be fetched: 500"),
        ({"kind": "html"}, "could not be fetched: the answer is no JSON"),
        ({"kind": "truncate"}, "could not be fetched: the answer is no JSON"),
        ({"kind": "reset"}, "could not be fetched: no answer"),
    ],
    ids=["404", "403", "firewall", "500", "html", "truncated", "reset"],
)
def test_a_care_record_whose_detail_fails_is_put_off_and_stored_once_it_comes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fault: dict[str, Any], reason: str
) -> None:
    folders(marketplace, 900, 901, 902)
    marketplace.pass_time(minutes=3)
    marketplace.fault(path="/ws/sav/901", times=0, **fault)
    summary = sync(account, "care")
    assert (summary.fetched, summary.created, summary.put_off, summary.rejected) == (3, 2, 1, 0)
    assert summary.watermark is not None
    assert connection.execute("SELECT care_id FROM care_records ORDER BY 1").fetchall() == [("900",), ("902",)]
    assert connection.execute(REASONS).fetchall() == [("care", "901", reason)]
    assert connection.execute("SELECT last_outcome, last_problem FROM lanes").fetchone() == ("partial", None)
    again = sync(account, "care")
    assert (again.fetched, again.created, again.put_off) == (3, 0, 1)
    marketplace.pass_time(days=9)  # it is behind the watermark
    sync(account, "care")
    marketplace.calm()
    assert sync(account, "care").created == 1
    assert connection.execute(REASONS).fetchall() == []
    assert connection.execute("SELECT last_outcome FROM lanes").fetchone() == ("succeeded",)
    nothing_changed(sync(account, "care"))


def test_a_care_record_that_was_put_off_is_done_once_it_comes_whatever_time_its_detail_has(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """A detail may be a cached copy, older than the list that named it."""
    folders(marketplace, 900)
    marketplace.pass_time(minutes=3)
    marketplace.fault("status", path="/ws/sav/900", status=404)
    assert sync(account, "care").put_off == 1
    earlier = iso(marketplace.now() - timedelta(hours=1))
    marketplace.world.scripted_folders[900]["detail"]["date_modification"] = earlier
    assert sync(account, "care").created == 1
    assert connection.execute(REASONS).fetchall() == []
    marketplace.pass_time(days=9)  # the list no longer names it
    sync(account, "care")
    calls = marketplace.calls("GET /ws/sav/…")
    sync(account, "care")
    assert marketplace.calls("GET /ws/sav/…") == calls


def test_a_care_record_that_is_answered_with_another_one_is_put_off(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    folders(marketplace, 900, 901)
    marketplace.world.scripted_folders[901]["detail"] = marketplace.world.scripted_folders[900]["detail"]
    assert sync(account, "care").created == 1
    assert connection.execute("SELECT care_id, raw->>'id' FROM care_records").fetchall() == [("900", "900")]
    assert connection.execute(REASONS).fetchall() == [("care", "901", "could not be fetched: another record came")]


def test_a_marketplace_whose_details_all_fail_fails_the_pass_after_three_of_them(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    folders(marketplace, *range(900, 930))
    marketplace.pass_time(minutes=3)
    marketplace.fault("status", path="/ws/sav/", status=500, times=0)
    with pytest.raises(PassFailedError, match="GET /ws/sav/902 with 500"):
        sync(account, "care")
    assert marketplace.calls("GET /ws/sav/…") == 3 * MAX_TRIES
    assert connection.execute(WATERMARK, ["care"]).fetchone() == (None,)
    marketplace.calm()
    assert sync(account, "care").created == 30
    assert connection.execute(REASONS).fetchall() == []


def test_three_bad_care_records_in_a_row_do_not_fail_every_pass(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    folders(marketplace, *range(900, 906))
    marketplace.pass_time(minutes=3)
    for number in (901, 902, 903):
        marketplace.fault("status", path=f"/ws/sav/{number}", status=500, times=0)
    with pytest.raises(PassFailedError):
        sync(account, "care")
    summary = sync(account, "care")
    assert (summary.created, summary.put_off) == (2, 3)
    assert summary.watermark is not None
    assert connection.execute("SELECT count(*) FROM care_records").fetchone() == (3,)


def test_records_that_the_marketplace_does_not_have_are_never_taken_for_its_failure(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    folders(marketplace, *range(900, 910))
    marketplace.fault("status", path="/ws/sav/", status=404, times=9)
    summary = sync(account, "care")
    assert (summary.created, summary.put_off) == (1, 9)


@pytest.mark.parametrize("status", [401, 429])
def test_a_failure_that_concerns_all_calls_fails_the_pass_at_once(
    marketplace: Marketplace, connection: Connection, status: int
) -> None:
    account = sandbox_account(marketplace)
    folders(marketplace, 900, 901, 902)
    marketplace.pass_time(minutes=3)
    marketplace.fault("status", path="/ws/sav/901", status=status, headers={"Retry-After": "0"}, times=0)
    with pytest.raises(PassFailedError, match=f"GET /ws/sav/901 with {status}"):
        sync(account, "care")
    assert connection.execute("SELECT care_id FROM care_records").fetchall() == [("900",)]
    assert connection.execute(REASONS).fetchall() == []
    assert connection.execute(WATERMARK, ["care"]).fetchone() == (None,)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 401},
        {"kind": "status", "status": 403},
        {"kind": "html"},
    ],
    ids=["500", "400", "401", "403", "html"],
)
def test_a_rejected_order_that_can_not_be_fetched_stops_nothing(connection: Connection, fault: dict[str, Any]) -> None:
    with Marketplace(ago=timedelta(days=20)) as marketplace:
        _check_that_it_stops_nothing(marketplace, connection, fault)


def _check_that_it_stops_nothing(marketplace: Marketplace, connection: Connection, fault: dict[str, Any]) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True, when_short="accept")
    bad = an_order(marketplace, 1)
    marketplace.put({**bad, "orderlines": []})
    sync(account)
    missing = "are missing, and the order is not stored yet"
    assert connection.execute(REASONS).fetchall() == [("order", "1", missing)]
    marketplace.pass_time(days=9)
    sync(account)
    before = connection.execute(WATERMARK, ["new"]).fetchone()
    marketplace.pass_time(hours=2)  # the order is behind the watermark now
    an_order(marketplace, 2, state=1, line_state=1)
    marketplace.fault(path="/ws/orders/1", method="GET", times=0, **fault)
    summary = sync(account)
    assert (summary.created, summary.accepted, summary.put_off) == (1, 1, 1)
    assert connection.execute(WATERMARK, ["new"]).fetchone() != before
    reasons = connection.execute("SELECT reasons, attempts FROM rejected_records").fetchone()
    assert reasons is not None
    assert [reason["what"].partition(":")[0] for reason in reasons[0]] == [missing, "could not be fetched"]
    marketplace.calm()
    marketplace.put(bad)
    sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert connection.execute(REASONS).fetchall() == []
    check_invariants(connection)


def test_a_rejected_order_whose_fetch_brings_the_stored_version_is_not_rejected_any_more(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order = an_order(marketplace, 1)
    sync(account)
    line = order["orderlines"][0]
    marketplace.change(1, orderlines=[line, {**line, "id": 101, "listing": ""}])
    assert sync(account, "modified").rejected == 1
    marketplace.put(order)
    marketplace.pass_time(days=9)
    assert sync(account).rejected == 0
    assert connection.execute(REASONS).fetchall() == []


@pytest.mark.parametrize("other", [77, None], ids=["another order", "no id"])
def test_a_rejected_order_that_is_answered_with_another_one_is_put_off(
    connection: Connection, other: int | None
) -> None:
    with Marketplace(ago=timedelta(days=20)) as marketplace:
        account = sandbox_account(marketplace)
        order = an_order(marketplace, 1)
        marketplace.put({**order, "orderlines": []})
        sync(account)
        marketplace.pass_time(days=9)
        sync(account)
        marketplace.pass_time(hours=2)  # the order is behind the watermark now
        marketplace.world.scripted[1] = {**order, "order_id": other}
        assert sync(account).put_off == 1
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        assert [record_id for _, record_id, _ in connection.execute(REASONS)] == ["1"]


def test_rejected_orders_take_turns(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    """A pass tries 20 again; those that stay rejected must not keep the others from their turn."""
    bad = [an_order(marketplace, number) for number in range(1, 31)]
    for order in bad:
        marketplace.put({**order, "orderlines": []})
    sync(account)
    marketplace.pass_time(days=9)
    sync(account)
    marketplace.pass_time(days=9)  # they are behind the watermark now
    for order in bad[25:]:
        marketplace.put(order)
    created = sum(sync(account).created for _ in range(2))
    assert created == 5
    assert len(connection.execute(REASONS).fetchall()) == 25
