"""The lanes on the start page: what works now, and what no longer does."""

import re
from pathlib import Path

import httpx
import pytest

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import hold
from orders_sync.lanes.pauses import pause_account
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account, run

LANE = Lane("shop", SyncType.NEW)


@pytest.mark.usefixtures("short_order")
def test_the_start_page_shows_the_lanes_at_work_and_those_whose_run_died(web: str, connection: Connection) -> None:
    browser = httpx.Client(base_url=web, trust_env=False)
    assert "No sync is running." in browser.get("/operations").text
    with hold(LANE, "run-1") as holding:
        started(holding, LANE, "run-1")
        assert "<li>shop/new: run run-1</li>" in browser.get("/operations").text
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert "<strong>shop/new: run run-1: no progress for 11 min</strong>" in browser.get("/operations").text
    assert "<strong>shop/new: run run-1 died</strong>" in browser.get("/operations").text
    pause_account(connection, "shop", By("anna@desk", "it <moves>"))
    page = browser.get("/operations").text
    assert page.count("Account shop is paused since") == 1
    assert "anna@desk: it &lt;moves&gt;" in page


@pytest.mark.usefixtures("short_order")
def test_the_page_of_the_lanes_shows_where_each_is_and_when_it_runs_next(web: str, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO rate_limits (account, bucket, next_slot, day, day_calls) "
        "VALUES ('shop', 'edge', now() + interval '60 seconds', (now() AT TIME ZONE 'UTC')::date, 17), "
        "('shop', 'care_list', now(), (now() AT TIME ZONE 'UTC')::date, 1234), ('shop', 'own', now(), NULL, 5)"
    )
    page = httpx.get(f"{web}/operations/lanes", trust_env=False).text
    assert page.count('<td data-label="Sync"') == 4
    assert page.count('<td data-label="Last success (UTC)">never</td>') == 3
    assert "care_list 1,234 of 4,000, at most 520 in 60 s; " in page
    assert re.search(r"edge 17, at most 200 in 10 s, next call in (5[0-9]|60) s; own 0</p>", page)
    connection.execute("UPDATE lanes SET last_outcome = 'failed', last_problem = 'HTTP <500>'")
    assert "the last pass failed: HTTP &lt;500&gt;" in httpx.get(f"{web}/operations/lanes", trust_env=False).text


@pytest.mark.usefixtures("short_order")
def test_a_refused_credential_is_told_once_for_all_lanes_of_its_account(
    web: str, tmp_path: Path, marketplace: Marketplace
) -> None:
    add_account(tmp_path, marketplace, "shop", token="NOT_SET_TOKEN")
    assert run("sync", "--type", "new").exit_code == 1
    page = httpx.get(f"{web}/operations/lanes", trust_env=False).text
    assert page.count("NOT_SET_TOKEN is not set") == 1
    assert page.count(">pauses</td>") == 4
    assert page.count(">none</td>") == 4


@pytest.mark.usefixtures("short_order")
def test_an_account_is_paused_and_resumed_on_the_page_with_a_reason(web: str, connection: Connection) -> None:
    with httpx.Client(base_url=f"{web}/operations", trust_env=False, headers={"Origin": web}) as browser:

        def send(**fields: str) -> httpx.Response:
            return browser.post("/lanes/pause", data={**a_form(browser), "account": "shop", **fields})

        assert browser.post("/lanes/pause", data={"account": "shop", "reason": "x"}).status_code == 403
        assert send(reason=" ").status_code == 400
        assert send(reason="x", account="shpo").status_code == 400
        assert connection.execute("SELECT FROM account_pauses").rowcount == 0
        paused = send(reason="it moves")
        assert (paused.status_code, paused.headers["location"]) == (303, "/operations/lanes?done=paused")
        page = browser.get("/lanes?done=paused").text
        assert "Paused: no run of the account is requested" in page
        assert "page user: it moves" in page
        again = send(reason="once more")
        assert (again.status_code, "it moves" in again.text) == (400, True)
        assert send(reason="done", resume="yes").headers["location"] == "/operations/lanes?done=resumed"
    acts = connection.execute(
        "SELECT act, actor, via, reason FROM manual_acts WHERE act <> 'sync' ORDER BY act_id"
    ).fetchall()
    assert acts == [
        ("pause_account", "page user", "page /operations/lanes", "it moves"),
        ("resume_account", "page user", "page /operations/lanes", "done"),
    ]


@pytest.mark.usefixtures("short_order")
def test_a_run_or_a_check_that_can_not_be_launched_says_why(web: str) -> None:
    with httpx.Client(base_url=f"{web}/operations", trust_env=False, headers={"Origin": web}) as browser:
        form = a_form(browser)
        run_now = {**form, "account": "shop", "sync": "new", "reason": "the phone rings"}
        for path, fields, said in (
            ("run", run_now, "the code location is not loaded"),
            ("run", run_now | {"account": "shpo"}, "There is no account shpo. Did you mean shop?"),
            ("run", run_now | {"sync": "newest"}, "there is no sync &#39;newest&#39;"),
            ("run", run_now | {"reason": ""}, "the reason is empty"),
            ("check", {**form, "account": "shop"}, "the code location is not loaded"),
            ("check", {**form, "account": "shpo"}, "There is no account shpo. Did you mean shop?"),
        ):
            answer = browser.post(f"/lanes/{path}", data=fields)
            assert (answer.status_code, said in answer.text) == (400, True), answer.text
        assert browser.post("/lanes/run", data=run_now | {"token": "x"}).status_code == 403
        assert browser.post("/lanes/run", data=run_now | {"once": ""}).status_code == 403


def a_form(browser: httpx.Client) -> dict[str, str]:
    """What each form of the page has."""
    return dict(re.findall(r'name="(token|once)" value="([^"]*)"', browser.get("/lanes").text)[:2])


@pytest.mark.usefixtures("short_order")
def test_the_figures_for_prometheus_need_the_login_where_there_is_one(web: str, guarded: str) -> None:
    answer = httpx.get(f"{web}/operations/metrics", trust_env=False)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'orders_sync_waiting_orderlines{account="shop"} 1.0' in answer.text
    assert httpx.get(f"{guarded}/operations/metrics", trust_env=False).status_code in (302, 303, 401)
