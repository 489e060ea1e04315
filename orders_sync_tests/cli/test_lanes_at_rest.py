"""Lanes of which no run is requested: the credential is refused, a person has paused the account, or the sync is off."""

import json
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account, run


def test_a_lane_whose_credential_is_refused_is_not_due_and_says_so(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    add_account(tmp_path, shop, "shop", token="NOT_SET_TOKEN")
    assert run("sync", "--type", "new").exit_code == 1
    calls = [run("schedule", "run") for _ in range(2)]
    assert [call.exit_code for call in calls] == [1, 1]
    assert "Lane shop/care pauses since" in calls[0].output
    assert connection.execute("SELECT count(*) FROM lane_runs").fetchone() == (1,)
    assert [lane["activity"] for lane in json.loads(run("status", "--json").output)] == ["refused"] * 4
    doctor = [finding.text for finding in EXAMINATIONS["lanes"]()]
    assert all("NOT_SET_TOKEN is not set" in text for text in doctor)
    assert run("sync", "--type", "new").exit_code == 1  # by hand
    assert connection.execute("SELECT count(*) FROM lane_runs").fetchone() == (2,)


def test_a_paused_account_is_left_out_until_somebody_resumes_it(shop: Marketplace, connection: Connection) -> None:
    assert run("accounts", "pause", "shpo", "--reason", "x").exit_code == 1
    assert "Account shop is not paused" in run("accounts", "resume", "shop", "--reason", "x").output
    assert "accounts resume shop" in run("accounts", "pause", "shop", "--reason", "it moves").output
    again = run("accounts", "pause", "shop", "--reason", "once more")
    assert again.exit_code == 1
    assert "it moves" in again.output
    left_out = run("schedule", "run")
    assert left_out.exit_code == 0
    assert left_out.output.count("Account shop is paused since") == 1
    assert "Nothing is due." in left_out.output
    assert {lane["activity"] for lane in json.loads(run("status", "--json").output)} == {"paused"}
    findings = list(EXAMINATIONS["lanes"]())
    assert all(finding.ok and "is paused since" in finding.text for finding in findings)
    assert "It is left out." in run("sync", "--type", "all").output
    assert connection.execute("SELECT count(*) FROM lane_runs").fetchone() == (0,)
    assert "It is synced now, since you name it." in run("sync", "--type", "new", "--account", "shop").output
    assert connection.execute("SELECT count(*) FROM lane_runs").fetchone() == (1,)
    assert "it moves" in run("accounts", "resume", "shop", "--reason", "it has moved").output
    assert "Due: shop/modified" in run("schedule", "run", "--dry-run").output


def test_a_sync_that_is_switched_off_runs_by_hand_only(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    add_account(tmp_path, shop, "shop", syncs={"care": False, "incomplete": False})
    assert "Due: shop/new, shop/modified" in run("schedule", "run", "--dry-run").output
    assert [lane["sync_type"] for lane in json.loads(run("status", "--json").output)] == ["new", "modified"]
    assert len(list(EXAMINATIONS["lanes"]())) == 2
    assert run("schedule", "list").output.count("switched off") == 2
    assert run("sync", "--type", "care").exit_code == 0
    assert connection.execute("SELECT sync_type FROM lane_runs").fetchall() == [("care",)]


def test_the_doctor_reports_a_pause_however_many_lanes_there_are(shop: Marketplace, tmp_path: Path) -> None:
    for name in ("b", "c", "d"):
        add_account(tmp_path, shop, name)
    run("sync", "--type", "all")
    run("accounts", "pause", "shop", "--reason", "it moves")
    report = " ".join(run("doctor").output.split())
    assert "ok lanes: shop/new, shop/modified, shop/care, shop/incomplete: Account shop is paused since" in report
    assert ": it moves. No run of it is requested" in report
    assert "ok lanes: 12 are well" in report
