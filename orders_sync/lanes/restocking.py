"""Since when an account's returns are booked to stock: the moment at which its `restock_returns` was first seen."""

from collections.abc import Collection

from orders_sync.database.engine import Connection


def note_restocking(connection: Connection, accounts: Collection[str]) -> None:
    """Notes the moment for the accounts of which it is not noted. Both the stock job and the `care` passes call it."""
    if accounts:
        connection.execute(_NOTE, [sorted(accounts)])


def note_passed(connection: Connection, account: str) -> None:
    """Notes that a complete `care` pass has stored what had closed until then."""
    connection.execute(_NOTE_PASSED, [account])


def forget_restocking(connection: Connection, account: str) -> None:
    """Forgets the moment: if the setting is switched on again, what closed in between is not booked."""
    connection.execute("DELETE FROM restocking_accounts WHERE account = %s", [account])


_NOTE = """
INSERT INTO restocking_accounts (account) SELECT unnest(%s::text[]) ON CONFLICT (account) DO NOTHING
"""
_NOTE_PASSED = "UPDATE restocking_accounts SET passed_at = now() WHERE account = %s AND passed_at IS NULL"
