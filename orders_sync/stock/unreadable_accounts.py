"""Accounts whose file has an error: it is unknown whether they may oversell, so their locks give no pieces back."""

from collections.abc import Mapping, Sequence

from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.errors import UserFacingError
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Lock, LockKey
from orders_sync.stock.store import active_locks


class UnreadableAccountError(UserFacingError, ValueError):
    """Pieces would be taken from locks of an account whose file has an error; the message has that error."""


def check_taken_back(before: Mapping[LockKey, Lock], after: Mapping[LockKey, Lock]) -> None:
    """Raises UnreadableAccountError if a lock has fewer pieces afterwards, and its account's file has an error.

    The accounts' files are read only where a lock has fewer pieces, which is rare.
    """
    accounts = {key[0] for key, lock in before.items() if after[key].locked < lock.locked}
    if not accounts:
        return
    _, problems = load_accounts()
    for account in sorted(accounts & problems.keys()):
        raise UnreadableAccountError(
            f"Locks of the account {account} would have to give pieces back, but whether it may oversell is unknown, "
            f"since its file has an error ({problems[account]}). Nothing was changed: mend the file, then try again."
        )


def readable_skus(stock: StockConnection, skus: Sequence[str]) -> frozenset[str]:
    """Those of the SKUs that no account has a lock of whose file has an error."""
    _, problems = load_accounts()
    return frozenset(skus) - {lock.sku for lock in active_locks(stock, skus) if lock.account in problems}
