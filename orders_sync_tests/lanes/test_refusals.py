"""Lanes that pause since a credential was refused: which ones, and until when."""

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.refusals import Refusal, note_refusal, refusal_of
from orders_sync.model.lane import SyncType
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import TOKEN_NAMES, Marketplace, sandbox_account, sync

VARIABLE = TOKEN_NAMES["back_market"]


def pauses(connection: Connection, account: SellerAccount) -> list[str]:
    """The sync types of the account's lanes that pause."""
    return [str(each) for each in SyncType if refusal_of(connection, account, each) is not None]


def failed(account: SellerAccount, sync_type: str = "new") -> str:
    with pytest.raises(PassFailedError) as problem:
        sync(account, sync_type)
    return str(problem.value)


def refused(connection: Connection, account: SellerAccount) -> Refusal:
    refusal = refusal_of(connection, account, SyncType.NEW)
    assert refusal is not None
    return refusal


def test_without_its_variable_an_account_pauses_until_it_is_set(
    account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pauses(connection, account) == []
    with monkeypatch.context() as patch:
        patch.delenv(VARIABLE)
        assert "is not set" in failed(account)
        assert pauses(connection, account) == ["new", "modified", "care", "incomplete"]
        assert f"the environment variable {VARIABLE} is not set" in str(refused(connection, account))
        assert "It runs again when the account's file or credential has changed" in str(refused(connection, account))
        patch.setenv(VARIABLE, "a token")
        assert pauses(connection, account) == []
    assert pauses(connection, account) == []


def test_a_refused_credential_pauses_the_account_until_its_value_or_its_file_changes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    marketplace.fault("status", status=401, path="/ws/orders")
    assert "the credential is wrong or lacks a right" in failed(account)
    assert pauses(connection, account) == ["new", "modified", "care", "incomplete"]
    assert pauses(connection, sandbox_account(marketplace, lag_seconds=60)) == []
    assert pauses(connection, sandbox_account(marketplace, "another")) == []
    monkeypatch.setenv(VARIABLE, "another token")
    assert pauses(connection, account) == []


def test_a_credential_without_a_right_pauses_only_the_lane_that_needs_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.fault("status", status=403, path="/ws/sav")
    failed(account, "care")
    assert pauses(connection, account) == ["care"]
    sync(account, "new")
    assert pauses(connection, account) == ["care"]


def test_a_run_by_hand_ends_the_pause(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    marketplace.fault("status", times=0, status=401, path="/ws/orders")
    failed(account)
    failed(account)
    assert pauses(connection, account) == ["new", "modified", "care", "incomplete"]
    marketplace.calm()
    sync(account, "care")
    assert pauses(connection, account) == []


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 403, "body": "<html>blocked</html>"}])
def test_what_no_credential_mends_pauses_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fault: dict[str, object]
) -> None:
    marketplace.fault("status", path="/ws/orders", **fault)
    failed(account)
    assert pauses(connection, account) == []


def test_what_is_stored_proves_no_guess_of_the_credential_right(
    account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of a hash with a salt of its own: equal credentials do not look equal, nor does a right guess."""
    stored: set[tuple[bytes, bytes]] = set()
    for _ in range(3):
        note_refusal(connection, account, SyncType.NEW, "refused", pauses_account=True)
        ((salt, mark),) = connection.execute("SELECT salt, mark FROM refused_credentials").fetchall()
        assert (len(salt), len(mark)) == (16, 2)
        stored.add((salt, mark))
    assert len({salt for salt, _ in stored}) == 3
