"""`orders-sync buyer`: what is stored about a buyer, and its erasure."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from orders_sync.cli import main
from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


@pytest.fixture
def victor(shop: Marketplace) -> None:
    """One order of Victor Hugo, who lives in Paris."""
    an_order(shop, 1, shipping_address={"firstName": "Victor", "lastName": "Hugo", "city": "Paris"})
    run("sync", "--type", "new")


@pytest.mark.usefixtures("victor")
class TestBuyer:
    def test_the_export_is_json_on_standard_output(self) -> None:
        content = json.loads(run("buyer", "export", "--name", "Victor Hugo").output)
        assert content["orders"][0]["shipping_city"] == "Paris"

    def test_the_file_of_an_export_is_closed_to_others(self, tmp_path: Path) -> None:
        file = tmp_path / "buyer.json"
        file.write_text("an older and longer one " * 1000)
        file.chmod(0o644)
        result = run("buyer", "export", "--order", "shop", "1", "--to", str(file))
        assert result.exit_code == 0, result.output
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["orders"][0]["order_id"] == "1"
        assert "Hugo" not in result.output

    def test_erasing_shows_what_it_concerns_and_asks(self, connection: Connection) -> None:
        command = ["buyer", "erase", "--name", "Victor Hugo"]
        declined = CliRunner().invoke(main, command, input="n\n")
        assert declined.exit_code == 1
        assert "1 orders" in declined.output
        assert connection.execute("SELECT shipping_city FROM orders").fetchone() == ("Paris",)
        agreed = CliRunner().invoke(main, command, input="y\n")
        assert agreed.exit_code == 0, agreed.output
        assert connection.execute("SELECT shipping_city, status FROM orders").fetchone() == (None, "accepted")
        [act] = json.loads(run("acts", "--json").output)[-1:]
        assert (act["act"], act["order_id"], act["via"]) == ("erase_buyer", "1", "orders-sync buyer erase")
        assert "Hugo" not in str(act)

    def test_who_is_unknown_is_said_without_the_name(self) -> None:
        result = run("buyer", "erase", "--name", "Emile Zola", "--yes")
        assert result.exit_code == 1
        assert "Nothing is stored about this name" in result.output
        assert "Zola" not in result.output

    def test_an_unknown_account_is_named(self) -> None:
        assert "typo" in run("buyer", "export", "--order", "typo", "1").output


@pytest.mark.parametrize(
    "options", [[], ["--mail", ""], ["--mail", "a@b.example", "--name", "Ann"], ["--name", "a\0b"], ["--name", "  "]]
)
@pytest.mark.usefixtures("shop")
def test_a_buyer_is_named_by_exactly_one_option(options: list[str]) -> None:
    result = run("buyer", "export", *options)
    assert result.exit_code == 2, result.output
