"""A pass that is stopped says so, and the next one continues."""

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.testing.marketplace import Marketplace, an_order, sync


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_a_pass_that_is_stopped_is_no_death(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
) -> None:  # fmt: skip
    """As by Ctrl-C, or by Dagster's own interruption when somebody terminates the run."""

    def stop(self: BackMarket, raw: bytes) -> None:
        raise interruption

    an_order(marketplace, 1)
    with monkeypatch.context() as patched:
        patched.setattr(BackMarket, "decode_order", stop)
        with pytest.raises(interruption):
            sync(account)
    row = connection.execute("SELECT last_outcome, last_problem FROM lanes").fetchone()
    assert row == ("failed", "it was stopped before its end")
    assert connection.execute("SELECT outcome FROM lane_runs").fetchone() == ("failed",)
    assert sync(account).created == 1
