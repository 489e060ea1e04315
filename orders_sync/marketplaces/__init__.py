"""The adapters: one file a marketplace, over http.py (pace, retries) and base.py (what an adapter must answer)."""

from orders_sync.accounts import Account
from orders_sync.marketplaces.base import Adapter


def open_adapter(account: Account, *, page_size: int | None = None) -> Adapter:
    """The adapter of an account, ready to be asked. Raises AccountProblem when its credential is not set."""
    from orders_sync.marketplaces.back_market import open_back_market

    return open_back_market(account, page_size=page_size)
