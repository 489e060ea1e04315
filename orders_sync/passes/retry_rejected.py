"""Tries rejected records of an account again."""

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.model.lane import SyncType
from orders_sync.passes.hold_lane import hold_lane
from orders_sync.sync import care, new
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.rejected_records import Selection, selected, unresolved_keys


def retry_rejected_records(
    account: SellerAccount,
    run_id: str,
    *,
    key: str | None = None,
    kind: str | None = None,
    reason: str | None = None,
    is_whole_reason: bool = False,
    by: By | None = None,
) -> tuple[int, int]:
    """Tries rejected records of an account again; returns how many passed and how many are still rejected.

    All of them, or those that `Selection` describes; not those that a person dismissed. `by`: the person who does it;
    each record that is tried is an act.

    Holds the lanes `new` and `care` of the account, one after the other. Raises LaneBusyError if another run holds one
    of them, AccountConfigError if the account can't be used, and MarketplaceError if the marketplace is down.
    """
    passed = left = 0
    for chosen in ("order", "care") if kind is None else (kind,):
        selection = Selection(account.name, chosen, key, reason, is_whole_reason=is_whole_reason)
        with hold_lane(account, SyncType.CARE if chosen == "care" else SyncType.NEW, run_id) as pass_:
            keys = [kept.key for kept in selected(pass_.connection, selection)]
            if not keys:
                continue
            if chosen == "care":
                down = care.retry_rejected(pass_, selection, limit=None, by=by)
            else:
                merger = OrderMerger(pass_.connection, account.name, pass_.adapter, pass_.origin, pass_.kept_fields)
                down = new.retry_rejected(pass_, merger, selection, limit=None, by=by)
            if down is not None:
                raise down
            # A record can be rejected for another reason now, so the selection need not find it any more.
            still_rejected = unresolved_keys(pass_.connection, account.name, chosen) & set(keys)
            left += len(still_rejected)
            passed += len(keys) - len(still_rejected)
    return passed, left
