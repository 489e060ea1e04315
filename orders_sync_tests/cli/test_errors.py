"""`orders-sync errors`: what a marketplace answered, whole."""

import json

import pytest

from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import run


@pytest.mark.usefixtures("connection")
def test_a_failure_says_where_its_answer_is_and_the_answer_is_whole(shop: Marketplace) -> None:
    assert run("errors", "list").output == "No error answers.\n"
    shop.fault("status", status=400, body={"errors": [{"code": "E1", "message": "for Jane Doe"}]})
    failed = run("sync", "--type", "new").output
    assert "Jane" not in failed
    assert "orders-sync errors show 1" in " ".join(failed.split())
    (listed,) = json.loads(run("errors", "list", "--account", "shop", "--json").output)
    assert (listed["number"], listed["status"], listed["path"]) == (1, 400, "/ws/orders")
    shown = run("errors", "show", "1").output
    assert "GET /ws/orders: 400 (1 time)\n" in shown
    assert '{"errors": [{"code": "E1", "message": "for Jane Doe"}]}' in shown


@pytest.mark.usefixtures("connection", "shop")
def test_an_answer_or_account_that_is_not_there_is_an_error() -> None:
    shown = run("errors", "show", "7")
    assert (shown.exit_code, "There is no error answer 7." in shown.output) == (1, True)
    assert "There is no account shpo" in run("errors", "list", "--account", "shpo").output
