"""The Dagster UI in a real headless Chromium, used as a data engineer would. Screenshots land in artifacts/."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import ACCOUNT, Deployment
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests import debian_packages

pytestmark = [
    pytest.mark.ui,
    pytest.mark.daemon,
    pytest.mark.needs("chromium"),
    pytest.mark.xdist_group("deployment"),
]

ARTIFACTS = PROJECT_ROOT / "artifacts"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
expect.set_options(timeout=limit(30) * 1000)
GROUPS = (ACCOUNT, "orders", "stock", "reports")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=debian_packages.find("chromium"), args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1500, "height": 950})
        opened.set_default_timeout(limit(60) * 1000)
        yield opened
        browser.close()


def keep(page: Page, name: str) -> Path:
    """Keeps a screenshot as an artefact of the run, once the page has stood still; a page that never does, as it is."""
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    latest = page.screenshot()

    def stands_still() -> bool:
        nonlocal latest
        before, latest = latest, page.screenshot()
        return before == latest

    with contextlib.suppress(AssertionError):
        wait_for(stands_still, seconds=5, every=0.3)
    path.write_bytes(latest)
    return path


def test_the_schedules_page_shows_the_four_schedules_with_their_next_ticks(page: Page, deployment: Deployment) -> None:
    page.goto(f"{deployment.url}/automation")
    for name in ("sync_new_orders", "sync_modified_orders", "sync_care_records", "sync_incomplete_orders"):
        expect(page.get_by_text(f"{name}_schedule")).to_be_visible()
    for words in ("At 02:00 AM", "At 04:00 AM", "Every minute"):
        expect(page.get_by_text(words).first).to_be_visible()
    keep(page, "schedules")
    page.goto(f"{deployment.url}/locations/orders_sync/schedules/sync_modified_orders_schedule")
    expect(page.get_by_text("Next tick", exact=False).first).to_be_visible()
    keep(page, "schedule_modified")


def test_the_lineage_page_shows_the_assets(page: Page, deployment: Deployment) -> None:
    page.set_viewport_size({"width": 2100, "height": 2800})
    try:
        page.goto(f"{deployment.url}/asset-groups?expanded={','.join(f'global@global:{group}' for group in GROUPS)}")
        graph = page.locator("svg")
        for asset in ("new_orders", "modified_orders", "order_items", "order_events", "stock_locks", "daily_summary"):
            expect(graph.get_by_text(asset, exact=True).first).to_be_attached()
        keep(page, "lineage")
    finally:
        page.set_viewport_size({"width": 1500, "height": 950})


def test_the_docs_of_the_account_component_are_shown(page: Page, deployment: Deployment) -> None:
    page.goto(f"{deployment.url}/locations/orders_sync/components/library/packages/orders_sync")
    expect(page.get_by_text("orders_sync.components.account.Account").first).to_be_visible()
    expect(page.get_by_text("One seller account at one marketplace").first).to_be_visible()
    keep(page, "components")


def test_an_assets_page_shows_its_numbers_its_owner_and_its_code(page: Page, deployment: Deployment) -> None:
    page.goto(f"{deployment.url}/assets/{ACCOUNT}/new_orders")
    for text in ("lane_asset.py", "Freshness policy"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_role("link", name="/operations/lanes")).to_have_attribute("href", "/operations/lanes")
    keep(page, "new_orders")
    page.goto(f"{deployment.url}/assets/{ACCOUNT}/new_passes")
    for text in ("api_calls", "throttled_seconds", "lag_seconds", "watermark"):
        expect(page.get_by_text(text).first).to_be_visible()
    keep(page, "new_passes")
    page.goto(f"{deployment.url}/assets/orders?view=overview")
    expect(page.get_by_text("shipping_last_name")).to_be_visible()
    keep(page, "orders_table")


def test_the_daily_summary_shows_its_plot(page: Page, deployment: Deployment) -> None:
    page.goto(f"{deployment.url}/assets/daily_summary")
    page.get_by_role("button", name="Materialize").first.click()
    wait_for(
        lambda: any({"path": ["daily_summary"]} in (r["assetSelection"] or []) and r["status"] == "SUCCESS" for r in deployment.runs()),
        seconds=90,
        what="the daily summary",
    )  # fmt: skip
    page.goto(f"{deployment.url}/assets/daily_summary")
    page.get_by_text("Show Markdown").first.click()
    expect(page.get_by_role("img", name="orders and cancelled items by day")).to_be_visible()
    keep(page, "daily_summary")


def test_a_backfill_of_two_weeks_launched_by_clicking_is_one_green_run(page: Page, deployment: Deployment) -> None:
    last = datetime.now(UTC).date() - timedelta(days=40)
    first = last - timedelta(days=13)
    before = {run["runId"] for run in deployment.runs_of("modified_orders")}
    page.goto(f"{deployment.url}/assets/{ACCOUNT}/modified_orders")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").first.click()
    field = dialog.locator("input[type=text]").first
    field.fill(f"[{first}...{last}]")
    field.press("Enter")
    field.press("Tab")
    expect(dialog.get_by_text("14 partitions").first).to_be_visible()
    expect(dialog.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
    keep(page, "backfill_dialog")
    dialog.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()

    def new_runs() -> list[str]:
        return [r["status"] for r in deployment.runs_of("modified_orders") if r["runId"] not in before]

    wait_for(lambda: new_runs() == ["SUCCESS"], seconds=120, what="the backfill's one run")
    page.goto(f"{deployment.url}/overview/backfills")
    keep(page, "backfills")
    ranges = deployment.graphql(
        """query($key: AssetKeyInput!) {assetNodeOrError(assetKey: $key) {... on AssetNode {
        assetPartitionStatuses {... on TimePartitionStatuses {ranges {startKey endKey status}}}}}}""",
        key={"path": [ACCOUNT, "modified_orders"]},
    )["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]
    covered = [each for each in ranges if each["startKey"] <= str(first) and str(last) <= each["endKey"]]
    assert [each["status"] for each in covered] == ["MATERIALIZED"]
    (first_day,) = {each["startKey"] for each in ranges}
    assert first_day >= str(datetime.now(UTC).date() - timedelta(days=94)), "no day before the first pass is missing"
    assert len(new_runs()) == 1
