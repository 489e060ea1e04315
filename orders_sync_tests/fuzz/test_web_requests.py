"""Odd requests to running web servers. `python -m orders_sync_tests.fuzz.web_requests` sends many more of them."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest

from orders_sync_tests.fuzz.web_requests import ASSET, Servers, answer_to, changed, request, servers, try_request


@pytest.fixture(scope="module")
def both() -> Iterator[Servers]:
    with servers() as started:
        yield started


def test_odd_requests_change_and_show_nothing(both: Servers) -> None:
    problems = [problem for seed in range(3000) if (problem := try_request(both, seed)[1])]
    assert problems == []
    assert changed(both) == []


def test_without_the_foreign_header_such_requests_change_something(both: Servers) -> None:
    """Else the trials would show nothing."""
    plain = (request(Random(seed), None) for seed in range(10_000))
    for content in islice((each for each in plain if each.startswith(b"POST /graphql HTTP")), 50):
        answer_to(both.without_login, content)
    assert changed(both) == [ASSET]
