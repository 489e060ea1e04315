"""The project's own four adapters keep to the contract suite of orders_sync.testing."""

import pytest

from orders_sync.marketplaces.kit.registry import marketplace_names
from orders_sync.testing.adapter_contract import Case, contract_cases
from orders_sync_tests.marketplaces import back_market_contract, medusa_contract, mirakl_contract, refurbed_contract

CONTRACTS = {
    "back_market": back_market_contract.CONTRACT,
    "medusa": medusa_contract.CONTRACT,
    "mirakl": mirakl_contract.CONTRACT,
    "refurbed": refurbed_contract.CONTRACT,
}


def test_no_adapter_is_left_out() -> None:
    assert tuple(CONTRACTS) == marketplace_names()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name}: {case}")
        for name, contract in CONTRACTS.items()
        for case in contract_cases(contract)
    ],
)
def test_the_adapter_keeps_to_the_contract(case: Case) -> None:
    case.check()
