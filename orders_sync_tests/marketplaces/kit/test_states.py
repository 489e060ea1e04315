"""States that are written in another way than published: their meaning is certain, unless two states differ only so."""

from typing import Annotated

import msgspec
import pytest

from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.marketplaces.kit.states import OddSpellingError, meaning, published

STATUS = {"SHIPPED": 1, "WAITING_DEBIT": 2, "open": 3, "OPEN": 4}


class Record(msgspec.Struct):
    state: Annotated[str | None, published(STATUS)] = None


def read(raw: bytes) -> int:
    record = msgspec.json.decode(raw, type=Record)
    return meaning(STATUS, record.state, 0)


@pytest.mark.parametrize(
    ("state", "known", "flaws"),
    [
        ("SHIPPED", 1, 0), (" SHIPPED\\r\\n", 1, 1), ("Shipped", 1, 1), ("waiting_debit", 2, 1), ("open", 3, 0),
        ("OPEN", 4, 0), ("Open", 0, 0), ("waiting debit", 0, 0), ("LOST", 0, 0), ("", 0, 0),
    ],
)  # fmt: skip
def test_a_state_is_read_as_published(state: str, known: int, flaws: int) -> None:
    decoded = decode_leniently(read, Record, b'{"state": "%s"}' % state.encode())
    assert (decoded.value, len(decoded.flaws)) == (known, flaws)


def test_a_state_in_another_spelling_is_no_unknown_state() -> None:
    with pytest.raises(OddSpellingError):
        meaning(STATUS, "shipped", 0)
    assert meaning(STATUS, None, 0) == 0
