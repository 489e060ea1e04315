"""wait_for returns what the condition returned, and its error says what did not happen."""

import time

import pytest

from orders_sync.testing.waiting import limit, wait_for


def test_it_returns_the_first_true_result() -> None:
    results = iter([0, "", None, "done", "too late"])
    assert wait_for(lambda: next(results), every=0.001) == "done"


def test_its_error_says_what_did_not_come_true_and_after_how_long() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"the end of time did not come true within \d+ s"):
        wait_for(lambda: False, seconds=0.2, what="the end of time", every=0.01)
    assert time.monotonic() - began >= limit(0.2)
