"""`orders-sync drift`."""

import json

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def test_drift_is_shown_until_a_person_notes_it_as_seen(shop: Marketplace, connection: Connection) -> None:
    assert "No contract drift." in run("drift").output
    an_order(shop, 1, state=77, line_state=78)
    assert run("sync", "--type", "new").exit_code == 0
    shown = json.loads(run("drift", "--account", "shop", "--json").output)
    assert [(row["field"], row["what"], row["detail"], row["record_id"]) for row in shown] == [
        ("orderlines[].state", "new value", "78", "1"),
        ("state", "new value", "77", "1"),
    ]
    assert "1 differences are noted" in run("drift", "seen", "shop", "state").output
    assert len(json.loads(run("drift", "--json").output)) == 1
    assert run("drift", "seen", "shop").exit_code == 0
    assert "No contract drift." in run("drift").output
    noted = json.loads(run("drift", "--all", "--json").output)
    assert all("@" in row["noted_by"] for row in noted)
    nothing_left = run("drift", "seen", "shop")
    assert (nothing_left.exit_code, "has no contract drift to be seen" in nothing_left.output) == (1, True)


def test_the_fields_of_an_account_are_listed(shop: Marketplace) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    rows = {row["field"]: row for row in json.loads(run("drift", "fields", "shop", "--json").output)}
    assert (rows["orderlines[].quantity"]["types"], rows["orderlines[].quantity"]["is_read"]) == ("number", True)
    assert (rows["orderlines[].brand"]["types"], rows["orderlines[].brand"]["is_read"]) == ("text", False)


def test_a_misspelled_account_is_an_error(shop: Marketplace) -> None:
    for arguments in (["drift", "--account", "shpo"], ["drift", "seen", "shpo"], ["drift", "fields", "shpo"]):
        result = run(*arguments)
        assert (result.exit_code, "shpo" in result.output) == (1, True), result.output
