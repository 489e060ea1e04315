"""The lanes on the start page: what works now, and what no longer does."""

import httpx
import pytest

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import hold
from orders_sync.lanes.pauses import pause_account
from orders_sync.model.lane import Lane, SyncType

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
