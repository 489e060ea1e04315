"""SKUs that are made of another id of the product."""

import copy
import pickle

import pytest

from orders_sync.marketplaces.kit.made_skus import MadeSku, sku_or_made


@pytest.mark.parametrize(
    ("sku", "product_id", "expected"),
    [("PHONE", 7, "PHONE"), (" ", 7, "offer-7"), (None, " 7 ", "offer-7"), ("", None, ""), (None, 0, "offer-0")],
)
def test_a_line_without_a_sku_has_one_that_is_made(sku: str | None, product_id: object, expected: str) -> None:
    assert sku_or_made(sku, "offer-", product_id) == expected


def test_a_copy_is_still_known_as_made() -> None:
    made = sku_or_made(None, "offer-", 7)
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert isinstance(other, MadeSku)
        assert (other, other.prefix) == ("offer-7", "offer-")
