"""The evidence of failed calls: whole, bounded in number, and gone when it is old."""

from datetime import UTC, datetime, timedelta

from orders_sync.database.engine import Connection
from orders_sync.lanes.error_answers import (
    KEPT_PER_ACCOUNT,
    ErrorAnswer,
    erase_error_answers,
    keep_error_answers,
    kept_answer,
    kept_answers,
)
from orders_sync.model.lane import Lane, SyncType

LANE = Lane("shop", SyncType.NEW)


def an_answer(status: int = 400, *, days: int = 0) -> ErrorAnswer:
    at = datetime.now(UTC) - timedelta(days=days)
    return ErrorAnswer("GET", "/ws/orders", status, {"content-type": "text/plain"}, b"\x00\xff no", 5, 1, at)


def test_an_answer_is_kept_byte_for_byte(connection: Connection) -> None:
    (number,) = keep_error_answers(connection, LANE, "run-1", [an_answer(409)])
    found = kept_answer(connection, number)
    assert found is not None
    answer, headers, body = found
    assert (answer.account, answer.sync_type, answer.run_id, answer.status) == ("shop", "new", "run-1", 409)
    assert (headers, body) == ({"content-type": "text/plain"}, b"\x00\xff no")
    assert kept_answer(connection, number + 1) is None


def test_of_each_account_the_newest_stay(connection: Connection) -> None:
    other = Lane("other", SyncType.CARE)
    keep_error_answers(connection, other, "run-0", [an_answer()])
    for status in range(400, 400 + KEPT_PER_ACCOUNT + 3):
        keep_error_answers(connection, LANE, "run-1", [an_answer(status)])
    kept = kept_answers(connection, "shop")
    assert [answer.status for answer in kept] == list(range(400 + KEPT_PER_ACCOUNT + 2, 402, -1))
    assert len(kept_answers(connection, "other")) == 1
    assert len(kept_answers(connection, None)) == KEPT_PER_ACCOUNT + 1


def test_retention_erases_those_of_the_account_that_are_old(connection: Connection) -> None:
    keep_error_answers(connection, LANE, "run-1", [an_answer(days=31), an_answer(404, days=29)])
    keep_error_answers(connection, Lane("other", SyncType.NEW), "run-2", [an_answer(days=31)])
    assert erase_error_answers(connection, "shop", 30) == 1
    assert [answer.status for answer in kept_answers(connection, None)] == [400, 404]
