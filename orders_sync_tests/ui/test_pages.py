"""The operator's pages beside the Dagster UI in a real Chromium: what they launch are runs of Dagster."""

import shutil
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from orders_sync.testing.deployment import ACCOUNT, Deployment, account_at, accounts_of, free_port, write_account
from orders_sync.testing.marketplace import an_order
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.ui import test_ui

pytestmark = [
    pytest.mark.ui,
    pytest.mark.daemon,
    pytest.mark.needs("chromium"),
    pytest.mark.xdist_group("deployment"),
]
page, keep = test_ui.page, test_ui.keep


@pytest.fixture
def pages(deployment: Deployment) -> Iterator[str]:
    """The address of the pages, which a web process of the deployment serves."""
    port = free_port()
    web = deployment.spawn(sys.executable, "-m", "orders_sync.cli", "web", "--port", str(port))
    url = f"http://127.0.0.1:{port}/operations"

    def answers() -> bool:
        assert web.poll() is None, deployment.log()[-3000:]
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, seconds=90, what="the web process")
    yield url
    web.terminate()
    web.wait()
    deployment.processes.remove(web)


def launched(page: Page) -> str:
    """The id of the run that the page says is launched."""
    link = page.get_by_role("status").get_by_role("link")
    expect(link).to_be_visible()
    return (link.get_attribute("href") or "").rpartition("/")[2]


def act(page: Page, verb: str, about: str, reason: str) -> None:
    """Opens a form with its verb, gives the reason and sends it, with the keyboard alone."""
    page.locator("summary", has_text=f"{verb} {about}").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type(reason)
    page.keyboard.press("Enter")


def test_what_the_pages_launch_are_runs_of_dagster_with_who_and_why(
    page: Page, pages: str, deployment: Deployment
) -> None:
    an_order(deployment.marketplace, 950, orderlines=[])
    page.goto(f"{pages}/lanes")
    act(page, "Run now", f"{ACCOUNT}/new", "a buyer is on the phone")
    run = launched(page)
    assert deployment.wait_for_run(run) == "SUCCESS"
    tags = {tag["key"]: tag["value"] for one in deployment.runs() if one["runId"] == run for tag in one["tags"]}
    assert tags["orders_sync/reason"] == "a buyer is on the phone"
    keep(page, "page_lanes")

    page.get_by_role("button", name=f"Check the credential and the endpoints of account {ACCOUNT}").click()
    assert deployment.wait_for_run(launched(page)) == "SUCCESS"

    page.goto(f"{pages}/orders?text=1")
    act(page, "Read again", "order 1", "its address was wrong")
    assert deployment.wait_for_run(launched(page)) == "SUCCESS"
    keep(page, "page_order")

    page.goto(f"{pages}/rejected")
    keep(page, "page_rejected")
    page.goto(f"{pages}/rejected/records?account={ACCOUNT}")
    expect(page.get_by_role("link", name="950", exact=True)).to_be_visible()
    an_order(deployment.marketplace, 950)  # only now: a scheduled pass tries rejected records again, too
    act(page, "Retry", "order 950", "the marketplace repaired it")
    assert deployment.wait_for_run(launched(page)) == "SUCCESS"
    page.goto(f"{pages}/rejected/records?account={ACCOUNT}")
    expect(page.get_by_role("heading", name="Rejected records")).to_be_visible()
    expect(page.get_by_role("link", name="950", exact=True)).not_to_be_visible()
    page.get_by_role("link", name="Stock").click()
    expect(page.get_by_role("heading", name="Shortages")).to_be_visible()
    keep(page, "page_stock")

    with deployment.connect() as connection:
        acts = connection.execute(
            "SELECT act, reason FROM manual_acts WHERE reason <> '' AND run_id <> '' ORDER BY act_id"
        ).fetchall()
    for act_and_reason in (
        ("sync", "a buyer is on the phone"),
        ("sync_order", "its address was wrong"),
        ("retry_rejected", "the marketplace repaired it"),
    ):
        assert act_and_reason in acts


def test_an_account_that_is_not_loaded_yet_stops_no_sensor_and_its_form_says_what_to_do(
    page: Page, pages: str, deployment: Deployment
) -> None:
    account = write_account(accounts_of(deployment.folder), "newer", account_at(deployment.marketplace))
    try:
        written_at = time.time()
        page.goto(f"{pages}/lanes")
        act(page, "Run now", "newer/new", "it is new")
        expect(page.get_by_role("alert")).to_contain_text(
            "Dagster has launched no run: it has not loaded the account yet. Reload the code location"
        )

        def later_ticks() -> list[str]:
            """The states of the ticks that began with the file in place and have ended."""
            ticks = [each for each in deployment.ticks("missing_passes") if each["timestamp"] > written_at]
            return [each["status"] for each in ticks if each["status"] != "STARTED"]

        assert "FAILURE" not in wait_for(later_ticks, seconds=120, what="a tick of missing_passes")
    finally:
        shutil.rmtree(account.parent)
