"""Acceptance over simulated days, at the three marketplaces that have it: see `acceptance_week`."""

import subprocess
import sys

import pytest

from orders_sync_tests.passes.acceptance_week import Figures

pytestmark = [pytest.mark.needs("faketime"), pytest.mark.timeout(400)]


def simulated(*options: str) -> subprocess.CompletedProcess[str]:
    """Runs the simulation in a process of its own, whose time it moves."""
    command = [sys.executable, "-m", "orders_sync_tests.passes.acceptance_week", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_line_runs_out_unanswered_and_none_is_accepted_without_stock() -> None:
    done = simulated("--days", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lines ran out unanswered, 0 times more was accepted than there was, 0 wrong locks" in done.stdout
    assert " 0 refused" not in done.stdout  # some SKUs are short, or the simulation shows nothing


def test_without_passes_before_deadlines_lines_run_out_in_the_night() -> None:
    done = simulated("--days", "2", "--no-pass-before-deadline")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\n0 lines ran out" not in done.stdout


def test_with_when_short_accept_more_is_accepted_than_there_is() -> None:
    done = simulated("--days", "1", "--when-short", "accept")
    assert done.returncode == 1, done.stdout + done.stderr
    assert " 0 times more was accepted" not in done.stdout


def test_each_of_the_figures_makes_the_week_wrong() -> None:
    assert Figures(7).is_right
    for wrong in (
        Figures(7, expired=["shop 1"]), Figures(7, sold_out=["PHONE"]), Figures(7, wrong_items=1),
        Figures(7, broken="an invariant"),
    ):  # fmt: skip
        assert not wrong.is_right
