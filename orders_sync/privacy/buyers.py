"""Finding what is stored about a buyer: by an order, by a mail address or by a name.

Names and addresses are compared here and not by PostgreSQL, whose `lower` leaves letters such as Ü as they are in a
database without a language. So all orders that have a buyer are read once; it is an act of minutes at worst, and rare.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, LiteralString, NamedTuple, cast
from urllib.parse import unquote

from psycopg.sql import SQL, Identifier

from orders_sync.database.engine import Connection
from orders_sync.model.keys import UNSTORABLE

ROWS_AT_A_TIME = 2_000


class Buyer(NamedTuple):
    """Who is meant: exactly one of the three."""

    order: tuple[str, str] | None = None
    """The account and the marketplace's id of one of the buyer's orders; other orders of the buyer are not meant."""
    mail: str | None = None
    name: str | None = None
    """First and last name in any order, or a company."""

    @property
    def found_by(self) -> str:
        """How the buyer is named, without the name itself."""
        return "order" if self.order else "mail" if self.mail else "name"


@dataclass
class BuyerRecords:
    """The records that are stored about a buyer."""

    orders: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])
    """(account, order id), each once, in the order in which they were found."""
    care: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])
    """(account, care id)"""
    rejected: dict[tuple[str, str, str], None] = field(default_factory=dict[tuple[str, str, str], None])
    """(account, `order` or `care`, key)"""

    def __bool__(self) -> bool:
        return bool(self.orders or self.care or self.rejected)

    def in_words(self) -> str:
        """How many there are of each kind."""
        counts = ((len(self.orders), "orders"), (len(self.care), "care records"), (len(self.rejected), "rejected"))
        return ", ".join(f"{count} {what}" for count, what in counts)


def find_records(connection: Connection, buyer: Buyer) -> BuyerRecords:
    """What is stored about a buyer. With an order come the care records about its items, and its rejected copy.

    Of what was blanked, nobody can say whose it was: only `order` finds it.
    """
    found = BuyerRecords()
    if buyer.order is not None:
        account, order_id = buyer.order
        if connection.execute(_ORDER, {"account": account, "order_id": order_id}).rowcount:
            found.orders[buyer.order] = None
        else:
            found.rejected.update({(*row,): None for row in connection.execute(_REJECTED_ORDER, buyer.order)})
    elif buyer.mail is not None:
        _find(connection, found, _is_mail(buyer.mail))
    elif buyer.name is not None:
        _find(connection, found, _is_name(buyer.name))
    for account, order_id in found.orders:
        care = connection.execute(_CARE_OF_ORDER, [account, order_id])
        found.care.update({(account, care_id): None for (care_id,) in care})
    for kind, records in (("order", found.orders), ("care", found.care)):
        for account, record_id in records:
            if connection.execute(_REJECTED, [account, kind, record_id]).rowcount:
                found.rejected[account, kind, record_id] = None
    return found


_Names = Callable[[Iterable[str], Iterable[str]], bool]
"""Whether texts name the buyer: those that are names and addresses, and those of a record, which may be anything."""


def _find(connection: Connection, found: BuyerRecords, names: _Names) -> None:
    for account, order_id, raw, *columns in _rows(connection, _BUYERS_OF_ORDERS):
        if names(_joined(columns), texts_of(raw)):
            found.orders[account, order_id] = None
    for account, care_id, raw in _rows(connection, _CARE):
        if names((), texts_of(raw)):
            found.care[account, care_id] = None
    for account, kind, key, raw in _rows(connection, _ALL_REJECTED):
        if names((), texts_of(bytes(raw).decode(errors="replace"))):
            found.rejected[account, kind, key] = None


def _rows(connection: Connection, query: LiteralString) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, a few at a time."""
    with connection.transaction(), connection.cursor("buyers") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(query)
        yield from cursor


def texts_of(raw: str) -> list[str]:
    """The texts of a record's JSON; those of one object that lie beside each other are joined, as first and last name.

    What is no JSON is one text.
    """
    try:
        texts: list[str] = []
        _collect(json.loads(raw), texts)
        return texts
    except (ValueError, RecursionError):
        return [raw]


def _collect(value: Any, texts: list[str]) -> None:
    if isinstance(value, dict):
        values = list(cast(dict[str, Any], value).values())
    elif isinstance(value, list):
        values = cast(list[Any], value)
    else:
        if isinstance(value, str):
            texts.append(value)
        return
    own = [each for each in values if isinstance(each, str)]
    texts += (f"{one} {other}" for one, other in pairwise(own))
    for each in values:
        _collect(each, texts)


def _joined(columns: list[str | None]) -> Iterator[str]:
    mail, *names = [column or "" for column in columns]
    yield mail
    for first, last, company in (names[:3], names[3:]):
        yield from (f"{first} {last}", company)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


_PARTS_OF_URL = re.compile(r"[/?&=;#]")


def _is_mail(mail: str) -> _Names:
    """The address as a whole, wherever a text has it: ann@example.com is not joann@example.com."""
    pattern = re.compile(rf"(?<![\w.!#$%&'*+/=?^`{{|}}~-]){re.escape(_plain(mail))}(?![\w-])(?!\.\w)")

    def is_in(text: str) -> bool:
        if "%40" in text and any(pattern.search(_plain(unquote(part))) for part in _PARTS_OF_URL.split(text)):
            return True
        return "@" in text and pattern.search(_plain(text)) is not None

    return lambda own, others: any(map(is_in, (*own, *others)))


def _is_name(name: str) -> _Names:
    """The name as a whole text, in either order of its parts: not `Li` within `Lisa`.

    A single word is one among the names alone: `Paris` is a city in most records.
    """
    words = _plain(name).replace(",", " ").split()
    wanted = {" ".join((*words[at:], *words[:at])) for at in range(len(words))}
    is_word = len(words) == 1
    return lambda own, others: any(
        _plain(text).replace(",", "") in wanted for text in (*own, *(() if is_word else others))
    )


def usable(text: str) -> bool:
    """Whether PostgreSQL can store a text: nothing is stored about any other."""
    return bool(text.strip()) and not UNSTORABLE.search(text)


#: Whether anything is stored of an order. Its row may be gone, e.g. deleted by hand, and not what belongs to it.
_ORDER = SQL(" UNION ALL ").join(
    SQL("SELECT FROM {} WHERE account = %(account)s AND order_id = %(order_id)s").format(Identifier(table))
    for table in ("orders", "order_items", "order_documents", "order_changes", "acceptances")
)
_REJECTED_ORDER = """
SELECT account, kind, record_id FROM rejected_records WHERE account = %s AND kind = 'order' AND record_id = %s
"""
_REJECTED = "SELECT FROM rejected_records WHERE account = %s AND kind = %s AND record_id = %s"
_CARE_OF_ORDER = """
SELECT DISTINCT about.care_id FROM order_items item JOIN care_record_items about USING (account, item_id)
JOIN care_records stored ON stored.account = about.account AND stored.care_id = about.care_id
WHERE item.account = %s AND item.order_id = %s ORDER BY 1
"""
_BUYERS_OF_ORDERS: LiteralString = """
SELECT account, order_id, raw::text, buyer_email, shipping_first_name, shipping_last_name, shipping_company,
  billing_first_name, billing_last_name, billing_company
FROM orders WHERE buyer_data_blanked_at IS NULL OR buyer_data_blanked_at = 'epoch' ORDER BY account, order_id
"""
_CARE: LiteralString = """
SELECT account, care_id, raw::text FROM care_records
WHERE buyer_data_blanked_at IS NULL OR buyer_data_blanked_at = 'epoch' ORDER BY account, care_id
"""
_ALL_REJECTED: LiteralString = "SELECT account, kind, record_id, raw FROM rejected_records ORDER BY 1, 2, 3"
