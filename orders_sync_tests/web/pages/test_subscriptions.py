"""The pages of subscriptions: how far each is, what waits and why, and what a person can do about it."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from orders_sync.acts.by import By
from orders_sync.config import subscriptions as config
from orders_sync.config.subscriptions import COMPONENT_TYPE, load_subscriptions
from orders_sync.dagster_support.subscription_assets import subscription_key
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.subscriptions.by_hand import pause
from orders_sync.subscriptions.deliveries import acknowledge, claim, give_up, position_of, refuse
from orders_sync.subscriptions.registration import register
from orders_sync.web.pages import connections
from orders_sync.web.pages import subscriptions as pages
from orders_sync_tests.stock.stored_orders import ACCOUNT
from orders_sync_tests.subscriptions.conftest import an_event, event_ids
from orders_sync_tests.web.conftest import ANNA, READER_PASSWORD, basic
from orders_sync_tests.web.test_reader import logged_in

PAGE = "/operations/subscriptions"
ERP = f"{PAGE}/one?name=erp"
BY = By("ben@desk", "the ERP <moves>", "a test")


def write(folder: Path, name: str, **attributes: Any) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "defs.yaml").write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Path:
    """The project's folder of subscriptions: the orders database knows `erp`."""
    folder = tmp_path / "subscriptions"
    monkeypatch.setattr(config, "subscriptions_folder", lambda: folder)
    write(folder, "erp", sql={"role": "erp"})
    register(connection, load_subscriptions()[0])
    return folder


@pytest.fixture
def browser(web: str, folder: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web, trust_env=False, headers={"Origin": web}) as client:
        yield client


def row_of(page: str, name: str) -> dict[str, str]:
    """The texts of the cells of one subscription, by the heads of their columns."""
    (row,) = (row for row in re.findall(r"<tr>(.*?)</tr>", page, re.S) if re.search(rf">{name}</a>", row))
    return {
        head: " ".join(unescape(re.sub("<[^>]+>", " ", text)).split())
        for head, text in re.findall(r'<td data-label="([^"]+)"[^>]*>(.*?)</td>', row, re.S)
    }


def send(browser: httpx.Client, verb: str, **fields: str) -> httpx.Response:
    """Sends a form of the page of `erp`."""
    hidden = dict(re.findall(r'name="(token|once)" value="([^"]*)"', browser.get(ERP).text))
    return browser.post(f"{PAGE}/one/{verb}", data={**hidden, "name": "erp", "reason": "a test", **fields})


def acts(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT act, object, detail, actor, via, reason FROM manual_acts ORDER BY act_id"
    ).fetchall()


def refused(answer: httpx.Response) -> str:
    """What the page says where nothing was done."""
    assert answer.status_code == 400, answer.text
    return unescape(answer.text)


def test_the_stock_job_is_listed_where_nobody_has_subscribed(browser: httpx.Client, connection: Connection) -> None:
    connection.execute("DELETE FROM subscriptions")
    an_event(connection)
    page = browser.get(PAGE).text
    assert row_of(page, "stock")["Waiting"] == "1"
    assert "The orders database does not know erp yet" in page
    assert browser.get(ERP).status_code == 404
    assert "does not know the subscription erp yet" in browser.get(ERP).text
    assert "There is no subscription &lt;b&gt;" in browser.get(f"{PAGE}/one?name=<b>").text
    assert browser.get(f"{PAGE}/one").headers["location"] == PAGE
    assert browser.get(f"{PAGE}/one?name=stock").headers["location"] == "/operations/stock"


def test_each_subscription_shows_how_far_it_is(browser: httpx.Client, folder: Path, connection: Connection) -> None:
    write(folder, "shop_floor", webhook={"url": "URL", "secret": "SECRET"}, statuses=["shipped"], accounts=["shop"])
    register(connection, load_subscriptions()[0])
    for order in ("1", "2", "3", "4"):
        an_event(connection, order)
    first, second, third, _ = event_ids(connection)
    claim(connection, "erp", 3)
    acknowledge(connection, "erp", [first])
    refuse(connection, "erp", second, "HTTP <500>")
    give_up(connection, "erp", third, "never")
    found = {each.about: each.page for each in EXAMINATIONS["subscriptions"]() if not each.ok}
    assert found.keys() == {"erp", "shop_floor"}, "events of erp were given up, and there is no account shop"
    for name, page in found.items():
        assert f"Subscription {name}" in browser.get(page).text
    row = row_of(browser.get(PAGE).text, "erp")
    del row["Oldest since (UTC)"]
    assert row == {
        "Subscription": "erp SQL, role erp", "Gets": "OrderCreated, OrderStatusChanged", "State": "works",
        "Delivered in 24 h": "1", "Waiting": "2", "Failing": "1 1 attempt", "Given up": "1",
        "Last problem": "HTTP <500>",
    }  # fmt: skip
    other = row_of(browser.get(PAGE).text, "shop_floor")
    assert other["Gets"] == "OrderCreated, OrderStatusChanged of shop that lead to shipped"
    assert (other["Waiting"], other["Last problem"]) == ("0", "")
    assert "<strong>erp needs a look.</strong>" in browser.get("/operations").text


def late(page: str, head: str) -> bool:
    """Whether a cell of the only subscription stands out."""
    return re.search(rf'<td data-label="{re.escape(head)}" class="(name )?late">', page) is not None


def test_what_needs_attention_stands_out(browser: httpx.Client, folder: Path, connection: Connection) -> None:
    heads = ("State", "Oldest since (UTC)", "Failing", "Given up")

    def stand_out() -> list[str]:
        page = browser.get(PAGE).text
        return [head for head in heads if late(page, head)]

    an_event(connection, "1")
    an_event(connection, "2")
    first, second = event_ids(connection)
    connection.execute("UPDATE order_events SET applied_at = now()")
    assert stand_out() == []
    connection.execute("UPDATE event_deliveries SET waiting_since = now() - interval '31 minutes'")
    assert stand_out() == ["Oldest since (UTC)"]
    write(folder, "erp", sql={"role": "erp"}, alert_after="1h")
    assert stand_out() == []
    claim(connection, "erp", 2)
    refuse(connection, "erp", first, "no")
    give_up(connection, "erp", second, "never")
    assert stand_out() == ["Failing", "Given up"]
    connection.execute("UPDATE subscriptions SET problem = 'HTTP 500'")
    assert stand_out() == ["State", "Failing", "Given up"]


def test_the_states_say_why_nothing_is_delivered(browser: httpx.Client, folder: Path, connection: Connection) -> None:
    an_event(connection)

    def state() -> str:
        return row_of(browser.get(PAGE).text, "erp")["State"]

    def why() -> str:
        (text,) = re.findall(r'<td data-label="Why it waits">(.*?)</td>', browser.get(ERP).text)
        return text

    assert (state(), why()) == ("works", "due: its consumer has not asked for it")
    connection.execute("UPDATE subscriptions SET problem = 'HTTP <b>'")
    assert state() == "receiver fails"
    connection.execute("UPDATE subscriptions SET resting_until = now() + interval '5 minutes'")
    assert (state(), why()) == ("receiver rests", "the receiver rests")
    assert "The last call of the receiver failed: HTTP &lt;b&gt;" in browser.get(ERP).text
    connection.execute("UPDATE subscriptions SET is_filling = true")
    assert (state(), why()) == ("being filled", "the subscription is being filled")
    pause(connection, "erp", BY)
    assert (state(), why()) == ("paused", "the subscription is paused")
    assert "by ben@desk: the ERP &lt;moves&gt;</p>" in browser.get(ERP).text
    assert "<strong>erp needs a look.</strong>" in browser.get("/operations").text
    shutil.rmtree(folder / "erp")
    assert state() == "without a file paused"
    connection.execute(
        "UPDATE subscriptions SET paused_at = NULL, is_filling = false, resting_until = NULL, problem = NULL"
    )
    assert state() == "without a file"
    assert "It has no file any more" in browser.get(ERP).text


def test_a_file_with_an_error_is_shown_with_the_error(browser: httpx.Client, folder: Path) -> None:
    write(folder, "erp", sql={"role": "erp"}, kinds=["Order"])
    for path in (PAGE, ERP):
        page = unescape(browser.get(path).text)
        assert "there is no kind 'Order'" in page
        assert "Remove<" not in page
    assert row_of(browser.get(PAGE).text, "erp")["Subscription"] == "erp its file has an error"


def test_the_page_of_one_says_why_each_event_waits(browser: httpx.Client, connection: Connection) -> None:
    an_event(connection, "1")
    an_event(connection, "1", "shipped")
    an_event(connection, "2")
    an_event(connection, "3")
    first, second, third, fourth, _ = event_ids(connection)
    claim(connection, "erp", 2)
    refuse(connection, "erp", first, "no <shelf>", timedelta(hours=1))
    give_up(connection, "erp", event_ids(connection)[-1], "never")
    page = unescape(browser.get(ERP).text)
    reasons = re.findall(r'<td data-label="Why it waits">(.*?)</td>', page)
    assert reasons[0].startswith('<span class="late">no <shelf></span><br>due again at ')
    assert reasons[1:3] == [
        f"it waits for the event {first} of its order",
        f"it waits for the event {second} of its order",
    ]
    assert reasons[3].startswith("its consumer has it until ")
    connection.execute("UPDATE event_deliveries SET due_at = now() WHERE is_claimed")
    assert "its consumer took too long; due again" in browser.get(ERP).text
    assert third < fourth
    assert "never" in page.partition("tried no more")[2]
    key = subscription_key("erp").path
    assert f'href="/assets/{"/".join(key)}"' in page


def test_long_lists_come_in_pages(
    browser: httpx.Client, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_SHOWN", 2)
    for order in range(1, 9):
        an_event(connection, str(order))
    ids = event_ids(connection)
    for event_id in ids[:3]:
        give_up(connection, "erp", event_id, "never")

    def listed(page: str) -> list[int]:
        return [int(number) for number in re.findall(r'<td data-label="Event" class="name">(\d+)<', page)]

    def link(page: str, text: str, place: int) -> str:
        return unescape(re.findall(rf'href="([^"]*)">{text}</a>', page)[place])

    first = browser.get(ERP).text
    assert listed(first) == [*ids[3:5], *ids[:2]]
    assert "The first ones" not in first
    second = browser.get(link(first, "The next ones", 0)).text
    assert listed(second) == [*ids[5:7], *ids[:2]], "the other list stays where it is"
    third = browser.get(link(second, "The next ones", 0)).text
    assert listed(third) == [*ids[7:], *ids[:2]]
    both = browser.get(link(third, "The next ones", 0)).text
    assert listed(both) == [*ids[7:], ids[2]]
    assert "The next ones" not in both
    assert listed(browser.get(link(both, "The first ones", 0)).text) == [*ids[3:5], ids[2]]
    assert "No further event waits." in browser.get(f"{ERP}&waiting_after={ids[-1]}").text
    assert listed(browser.get(f"{ERP}&waiting_after={'9' * 30}").text) == listed(first)


def test_a_pause_and_its_end_are_on_record(browser: httpx.Client, connection: Connection) -> None:
    assert "is not paused" in refused(send(browser, "resume"))
    assert send(browser, "pause", reason="it moves").headers["location"] == f"{ERP}&done=paused"
    assert "is paused already" in refused(send(browser, "pause"))
    assert "Paused: nothing is delivered" in browser.get(f"{ERP}&done=paused").text
    assert send(browser, "resume", reason="done").headers["location"] == f"{ERP}&done=resumed"
    by = ("page user", f"page {PAGE}/one")
    assert acts(connection) == [
        ("pause_subscription", "subscription erp", None, *by, "it moves"),
        ("resume_subscription", "subscription erp", None, *by, "done"),
    ]


def test_an_event_is_skipped(browser: httpx.Client, connection: Connection) -> None:
    an_event(connection)
    (event_id,) = event_ids(connection)
    assert send(browser, "skip", event=str(event_id)).headers["location"] == f"{ERP}&done=skipped"
    assert f"The event {event_id} does not wait" in refused(send(browser, "skip", event=str(event_id)))
    for wrong in ("", "x", "-1", "٣", "9" * 30):
        assert "the form does not say which event" in refused(send(browser, "skip", event=wrong))
    assert [each[:3] for each in acts(connection)] == [("skip_delivery", "subscription erp", f"event {event_id}")]


def test_events_are_delivered_again(browser: httpx.Client, connection: Connection) -> None:
    for order in ("1", "2", "3"):
        an_event(connection, order)
    ids = event_ids(connection)
    acknowledge(connection, "erp", ids)
    connection.execute("UPDATE order_events SET recorded_at = '2026-01-31T14:00Z' WHERE event_id < %s", [ids[2]])
    give_up(connection, "erp", ids[0], "never")
    connection.execute("UPDATE event_deliveries SET outcome = 'given_up' WHERE event_id = %s", [ids[0]])

    def waiting() -> int | None:
        position = position_of(connection, "erp")
        return position and position.waiting

    assert send(browser, "replay", which="given_up").headers["location"] == f"{ERP}&done=replayed&count=1"
    assert send(browser, "replay", which="order", account=ACCOUNT, order="2").headers["location"].endswith("count=1")
    assert waiting() == 2
    done = send(browser, "replay", which="since", since="2026-01-31T14:01")
    assert "1 event is delivered again." in browser.get(done.headers["location"]).text
    assert waiting() == 3
    again = send(browser, "replay", which="order", account=ACCOUNT, order="2")
    assert "There is nothing to deliver again" in browser.get(again.headers["location"]).text
    details = [each[2] for each in acts(connection)]
    assert details[:3] == [
        "all that was given up: 1 events", f"order {ACCOUNT}/2: 1 events", "since 2026-01-31 14:01:00 UTC: 1 events",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"which": "all"}, "the form does not say which events"),
        ({"which": "order", "account": ACCOUNT, "order": "9"}, f"There is no event of an order 9 in the account {ACCOUNT}."),
        ({"which": "since", "since": "soon"}, "'soon' is no time; allowed is a time (UTC) from 2000-01-01 up to now"),
        ({"which": "since", "since": "2099-01-01"}, "'2099-01-01' lies in the future; allowed is"),
        ({"which": "since", "since": "0001-01-01T00:00+14:00"}, "'0001-01-01T00:00+14:00' lies before 2000-01-01; allowed is"),
        ({"which": "given_up", "name": "epr"}, "There is no subscription epr; allowed are erp."),
        ({"which": "given_up", "reason": " "}, "the reason is empty: say why"),
    ],
)  # fmt: skip
def test_what_can_not_be_replayed_is_said_in_plain_words(
    browser: httpx.Client, connection: Connection, fields: dict[str, str], said: str
) -> None:
    an_event(connection)
    assert f"Nothing was changed: {said}" in refused(send(browser, "replay", **fields))
    assert acts(connection) == []


def test_a_subscription_without_a_file_is_removed(browser: httpx.Client, folder: Path, connection: Connection) -> None:
    an_event(connection)
    assert "still has a file: delete its folder first" in refused(send(browser, "remove"))
    write(folder, "erp", sql={})
    assert "still has a file: delete its folder first" in refused(send(browser, "remove"))
    assert ">Remove<" not in browser.get(ERP).text
    shutil.rmtree(folder / "erp")
    assert ">Remove<" in browser.get(ERP).text
    done = send(browser, "remove")
    assert done.headers["location"] == f"{PAGE}?done=removed"
    assert "The subscription is forgotten" in browser.get(done.headers["location"]).text
    assert connection.execute("SELECT FROM event_deliveries").rowcount == 0
    assert [each[:3] for each in acts(connection)] == [
        ("remove_subscription", "subscription erp", "1 events were waiting")
    ]


@pytest.mark.usefixtures("folder")
def test_what_a_user_of_a_proxy_does_is_recorded_by_name(proxied: str, connection: Connection) -> None:
    with httpx.Client(base_url=proxied, trust_env=False, headers={"Origin": proxied, **basic(ANNA)}) as browser:
        assert send(browser, "pause").status_code == 303
    assert [each[3] for each in acts(connection)] == [ANNA]
    with httpx.Client(base_url=proxied, trust_env=False, headers={"Origin": proxied, **basic("ben")}) as reader:
        assert send(reader, "resume").status_code == 403
    assert len(acts(connection)) == 1


@pytest.mark.usefixtures("folder")
def test_who_only_reads_sees_all_and_gets_no_form(guarded: str, connection: Connection) -> None:
    an_event(connection)
    with logged_in(guarded, READER_PASSWORD) as reader:
        page = reader.get(ERP)
        assert (page.status_code, page.text.count("<form"), "OrderCreated" in page.text) == (200, 1, True)
        assert reader.get(PAGE).status_code == 200
        for verb in ("pause", "resume", "skip", "replay", "remove"):
            assert reader.post(f"{PAGE}/one/{verb}", data={"name": "erp", "reason": "x"}).status_code == 403


def test_a_form_does_what_it_says_once_and_only_if_our_page_has_sent_it(
    browser: httpx.Client, connection: Connection
) -> None:
    an_event(connection)
    hidden = dict(re.findall(r'name="(token|once)" value="([^"]*)"', browser.get(ERP).text))
    fields = {**hidden, "name": "erp", "reason": "x", "which": "order", "account": ACCOUNT, "order": "1"}
    for verb in ("pause", "resume", "skip", "replay", "remove"):
        assert browser.post(f"{PAGE}/one/{verb}", data=fields | {"token": "x"}).status_code == 403
        assert browser.get(f"{PAGE}/one/{verb}").status_code == 405
    assert acts(connection) == []
    assert browser.post(f"{PAGE}/one/replay", data=fields).status_code == 303
    assert browser.post(f"{PAGE}/one/replay", data=fields).status_code == 409
    assert len(acts(connection)) == 1


def test_an_act_that_takes_too_long_says_what_does_it(
    browser: httpx.Client, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_event(connection)
    monkeypatch.setattr(connections, "PAGE_SECONDS", 1)
    with connection.transaction():
        connection.execute("SELECT FROM event_deliveries FOR UPDATE")
        hidden = send(browser, "skip", event=str(event_ids(connection)[0]))
    assert "`orders-sync subscriptions` does the same" in refused(hidden)


def test_an_orders_page_shows_who_got_its_events(browser: httpx.Client, folder: Path, connection: Connection) -> None:
    page = "/operations/orders/one"
    an_event(connection, "1")
    an_event(connection, "2")
    assert "Who got its events" in browser.get(page, params={"account": ACCOUNT, "order": "1"}).text
    write(folder, "shop_floor", webhook={"url": "URL", "secret": "SECRET"})
    register(connection, load_subscriptions()[0])
    an_event(connection, "1", "shipped")
    ids = event_ids(connection)
    acknowledge(connection, "erp", ids[:1])
    give_up(connection, "shop_floor", ids[2], "HTTP <410>")
    text = browser.get(page, params={"account": ACCOUNT, "order": "1"}).text
    cells = [
        re.sub(r" \d{4}-\d\d-\d\d \d\d:\d\d", " …", " ".join(unescape(re.sub("<[^>]+>", "", cell)).split()))
        for cell in re.findall(r'<td data-label="Subscriptions">(.*?)</td>', text, re.S)
    ]
    assert cells == ["erp: delivered …", "erp: waitsshop_floor: given up … (HTTP <410>)", "erp: waitsshop_floor: waits"]
    assert re.findall(r'<td data-label="Change">([^<]*)<', text)[:2] == ["accepted", "accepted → shipped"]
    connection.execute("DELETE FROM event_deliveries")
    assert "Who got its events" not in browser.get(page, params={"account": ACCOUNT, "order": "1"}).text
