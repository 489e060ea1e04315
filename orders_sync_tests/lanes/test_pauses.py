"""Accounts that a person has paused: on record, and until somebody resumes them."""

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import PauseError, pause_account, pause_of, paused_accounts, resume_account
from orders_sync.model.lane import SyncType
from orders_sync.testing.marketplace import Marketplace, sandbox_account

ANNA = By("anna@desk", "the marketplace moves to another server.", "orders-sync accounts pause")
BERT = By("bert@desk", "it has moved", "orders-sync accounts resume")


def test_all_lanes_of_a_paused_account_pause_and_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    pause_account(connection, account.name, ANNA)
    for sync_type in SyncType:
        text = str(pause_of(connection, account, sync_type))
        assert text.startswith("Account shop is paused since 20")
        assert " by anna@desk: the marketplace moves to another server. No run of it is requested until" in text
        assert pause_of(connection, sandbox_account(marketplace, "other"), sync_type) is None
    assert list(paused_accounts(connection)) == ["shop"]


def test_a_pause_ends_when_somebody_resumes_the_account(account: SellerAccount, connection: Connection) -> None:
    pause_account(connection, account.name, ANNA)
    ended = resume_account(connection, account.name, BERT)
    assert (ended.by, ended.reason) == (ANNA.user, ANNA.reason)
    assert pause_of(connection, account, SyncType.NEW) is None
    acts = connection.execute("SELECT act, account, actor, reason FROM manual_acts ORDER BY act_id").fetchall()
    assert acts == [
        ("pause_account", "shop", ANNA.user, ANNA.reason),
        ("resume_account", "shop", BERT.user, BERT.reason),
    ]


def test_a_second_pause_is_refused_and_so_is_to_resume_an_account_that_is_not_paused(
    account: SellerAccount, connection: Connection
) -> None:
    with pytest.raises(PauseError, match="Account shop is not paused"):
        resume_account(connection, account.name, BERT)
    pause_account(connection, account.name, ANNA)
    with pytest.raises(PauseError, match=r"is paused since .* by anna@desk: the marketplace moves"):
        pause_account(connection, account.name, BERT)
    assert connection.execute("SELECT count(*) FROM manual_acts").fetchone() == (1,)
