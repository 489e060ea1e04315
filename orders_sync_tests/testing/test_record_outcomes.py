"""What the outcome checks allow, and what they don't."""

import pytest

from orders_sync.testing.record_outcomes import OutcomeError, check_json


@pytest.mark.parametrize("stored", [rb'{"a": "x\\u0000"}', rb'{"a": "\\\\u0000"}', rb'{"\\u0000": 1e999}'])
def test_a_backslash_before_u0000_is_a_text(stored: bytes) -> None:
    check_json(stored, stored)


@pytest.mark.parametrize(
    "stored", [rb'{"a": "x\u0000"}', rb'{"a": "\\\u0000"}', rb'{"\u0000": 1}', b'{"a": NaN}', b"{"]
)
def test_nul_and_what_is_no_json_are_found(stored: bytes) -> None:
    with pytest.raises(OutcomeError):
        check_json(stored, stored)
