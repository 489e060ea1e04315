"""Acceptance over simulated days, at the three marketplaces that have it: see `acceptance_week`."""

import json
import subprocess
import sys

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.passes.acceptance_week import SHOPS, Figures, note_stored


def simulated(*options: str) -> Figures:
    """Runs the simulation in a process of its own, whose time it moves."""
    command = [sys.executable, "-m", "orders_sync_tests.passes.acceptance_week", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    figures = Figures(**json.loads(done.stdout))
    assert done.returncode == (0 if figures.is_right else 1)
    return figures


@pytest.mark.long
@pytest.mark.needs("faketime")
@pytest.mark.timeout(400)
def test_no_line_runs_out_unanswered_and_none_is_accepted_without_stock() -> None:
    figures = simulated("--days", "2")
    assert figures.is_right, figures
    # What the simulation shows nothing without: each of these is zero where its cause is left out.
    for account in SHOPS:
        assert figures.accepted[account] > 0
        assert figures.refused[account] > 0
    assert (figures.freed > 0, figures.further_passes > 0) == (True, True)
    assert (figures.failed_passes > 0, figures.lost_answers > 0) == (True, True)


@pytest.mark.long
@pytest.mark.needs("faketime")
@pytest.mark.timeout(400)
def test_without_passes_before_deadlines_lines_run_out_in_the_night() -> None:
    figures = simulated("--days", "2", "--no-pass-before-deadline")
    assert figures.expired
    assert figures.further_passes == 0
    assert (figures.sold_out, figures.late_answers, figures.unannounced) == ([], [], [])


@pytest.mark.long
@pytest.mark.needs("faketime")
@pytest.mark.timeout(400)
def test_with_when_short_accept_more_is_accepted_than_there_is() -> None:
    figures = simulated("--days", "1", "--when-short", "accept")
    assert figures.sold_out
    assert (sum(figures.refused.values()), figures.freed, figures.expired) == (0, 0, [])


def test_the_figures_see_a_wrong_lock_and_an_invariant_that_does_not_hold(
    marketplace: Marketplace, connection: Connection
) -> None:
    stock = StockConnection(connection)
    an_order(marketplace, 1, state=3, line_state=2)
    sync(sandbox_account(marketplace))
    apply_pending(stock)
    figures = Figures(1)
    note_stored(figures, stock)
    assert figures.is_right
    connection.execute("DELETE FROM stock_locks")
    note_stored(figures, stock)
    assert figures.wrong_items == 1
    assert figures.broken is not None


def test_each_of_the_figures_makes_the_week_wrong() -> None:
    assert Figures(7).is_right
    for wrong in (
        Figures(7, expired=["shop 1"]), Figures(7, sold_out=["PHONE"]), Figures(7, late_answers=["shop 1"]),
        Figures(7, unannounced=["shop 1"]), Figures(7, wrong_items=1), Figures(7, broken="an invariant"),
    ):  # fmt: skip
        assert not wrong.is_right
