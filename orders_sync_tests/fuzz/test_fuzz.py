"""Whatever a marketplace answers: a record is stored, stored with flaws, or rejected; a page is read or refused."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync_tests.fuzz.inputs import CONTRACTS
from orders_sync_tests.fuzz.trial import try_care_record, try_order, try_page

FEW = settings(
    max_examples=200,
    deadline=None,
    # One adapter serves all examples: it keeps nothing of a record that it decodes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RANDOMS = st.randoms(use_true_random=False)


@pytest.fixture(params=CONTRACTS)
def marketplace(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def adapter(marketplace: str) -> Iterator[Adapter]:
    opened = CONTRACTS[marketplace].open()
    yield opened
    opened.close()


@FEW
@given(random=RANDOMS)
def test_an_order_is_stored_or_rejected(marketplace: str, adapter: Adapter, random: Random) -> None:
    try_order(marketplace, adapter, random)


@FEW
@given(random=RANDOMS)
def test_a_care_record_is_stored_or_rejected(marketplace: str, adapter: Adapter, random: Random) -> None:
    try_care_record(marketplace, adapter, random)


@FEW
@given(random=RANDOMS)
def test_a_page_is_read_or_refused(marketplace: str, random: Random) -> None:
    try_page(marketplace, random)
