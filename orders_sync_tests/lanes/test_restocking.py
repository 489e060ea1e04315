"""Since when an account's returns are booked."""

from orders_sync.database.engine import Connection
from orders_sync.lanes.restocking import forget_restocking, note_passed, note_restocking

STORED = "SELECT account, since, passed_at IS NOT NULL FROM restocking_accounts ORDER BY account"


def test_the_first_moment_stays_until_the_setting_is_off(connection: Connection) -> None:
    note_restocking(connection, ["a", "b"])
    first = connection.execute(STORED).fetchall()
    assert [row[0] for row in first] == ["a", "b"]
    note_restocking(connection, ["a", "b"])
    assert connection.execute(STORED).fetchall() == first
    forget_restocking(connection, "a")
    note_restocking(connection, ["a"])
    again = connection.execute(STORED).fetchall()
    assert again[0][1] > first[0][1]
    assert again[1] == first[1]


def test_a_complete_pass_is_noted_for_accounts_with_the_setting_only(connection: Connection) -> None:
    note_restocking(connection, ["a"])
    note_passed(connection, "a")
    note_passed(connection, "b")
    assert [(account, passed) for account, _, passed in connection.execute(STORED)] == [("a", True)]
