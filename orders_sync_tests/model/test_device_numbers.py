"""What an IMEI is, and how numbers are collected."""

import pytest

from orders_sync.model.device_numbers import device_numbers, is_imei


@pytest.mark.parametrize("number", ["356938035643809", "490154203237518", "011415009346880"])
def test_an_imei_has_15_digits_and_the_right_check_digit(number: str) -> None:
    assert is_imei(number)
    others = [number[:-1] + digit for digit in "0123456789" if digit != number[-1]]
    assert not any(map(is_imei, others))


@pytest.mark.parametrize(
    "number", ["", "SN-1", "35693803564380", "3569380356438093", "000000000000000", "٣٥٦٩٣٨٠٣٥٦٤٣٨٠٩"]
)
def test_what_has_another_form_is_no_imei(number: str) -> None:
    assert not is_imei(number)


def test_numbers_are_collected_once_without_empty_ones() -> None:
    assert device_numbers([" SN-1", None, "", "SN-2", "SN-1"]) == ("SN-1", "SN-2")
    assert device_numbers(["", None]) is None
