"""Serves Back Market's order list from memory, fast enough that only the client's speed is measured.

    python -m bench.server --orders 100000 --port 8900

`GET /bench?changed=0.02&latency=0.15` sets the share of changed orders, and how many seconds each page takes.
`GET /bench` returns how many pages were served. Port 0 chooses a free one; the address is printed once it listens.
"""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import cast
from urllib.parse import parse_qs, urlsplit

from orders_sync.sandbox.formats import stamp

START = datetime(2026, 9, 1, tzinfo=UTC)
LINES = (2, 3)
"""The lines of an order, in turn: two and a half on average."""


def order(number: int, version: int = 0) -> dict[str, object]:
    """An order in the form of the contract. Version 1 was modified an hour after version 0, and is shipped."""
    created = START + timedelta(seconds=number)
    modified = created + timedelta(hours=version)
    address = {
        "id": number, "country": "FR", "city": "Paris", "postalCode": "75003", "firstName": "Victor",
        "lastName": "Hugo", "company": "", "phoneNumber": "+33639981234", "state": "",
        "street": "3, Imaginary Street", "street2": "",
    }  # fmt: skip
    lines = [
        {
            "id": number * 10 + line, "date_creation": stamp(created), "state": 3 if version else 2,
            "price": "229.00", "shipping_price": "0.00", "shipping_delay": 48, "currency": "EUR",
            "return_reason": 0, "return_message": "", "listing": f"IPHONE-{(number + line) % 500}",
            "listing_id": 142, "orderline_fee": "22.90", "product": "Apple iPhone 13 128 GB - Midnight",
            "quantity": 1, "brand": "apple", "product_id": 141, "backcare": False, "backcare_price": 0,
            "sales_taxes": "0.00", "imei": "", "serial_number": "", "condition": 11,
        }
        for line in range(LINES[number % len(LINES)])
    ]  # fmt: skip
    return {
        "order_id": number, "shipping_address": address, "billing_address": address,
        "delivery_note": f"https://documents.example.com/{number}.pdf",
        "expected_dispatch_date": "2026-09-03T00:00:00", "tracking_number": "", "tracking_url": "",
        "shipper_display": "Colissimo", "is_backship": True, "date_creation": stamp(created),
        "date_modification": stamp(modified), "date_payment": stamp(created), "state": 9 if version else 3,
        "orderlines": lines, "price": f"{229 * len(lines)}.00", "shipping_price": "5.99", "currency": "EUR",
        "country_code": "fr-fr", "paypal_reference": None, "installment_payment": False,
        "payment_method": "CARD", "sales_taxes": "0.00",
    }  # fmt: skip


NAMES = ("Zoë Müller", "José Ñandú", "Łukasz Wójcik", "Αλέξης Παππάς", "Søren Kjær", "Jean-François Lefèvre")
FLAWS: tuple[dict[str, object], ...] = (
    {"currency": "eur"}, {"sales_taxes": ""}, {"date_payment": "0000-00-00 00:00:00"}, {"shipping_address": []},
    {"tracking_number": 123456789012}, {"shipping_price": "5.990000000000000213"},
)  # fmt: skip
FLAWED_EVERY = 50
"""Of so many orders one has a flaw."""


def real_life(number: int, version: int = 0) -> dict[str, object]:
    """An order as buyers and marketplaces write it: UTF-8 names, line breaks and backslashes, one flaw in 50 orders."""
    plain = order(number, version)
    name = NAMES[number % len(NAMES)]
    address = {
        **cast(dict[str, object], plain["shipping_address"]), "firstName": name.split()[0], "lastName": name.split()[1],
        "street": f"Straße {number}\n2. Stock" if number % 3 else "C:\\Users\\me 7", "city": "Besançon",
    }  # fmt: skip
    flaw = FLAWS[number // FLAWED_EVERY % len(FLAWS)] if number % FLAWED_EVERY == 0 else {}
    return {**plain, "shipping_address": address, "billing_address": address, **flaw}


class Pages:
    """All pages of the list, encoded before the measurement begins."""

    def __init__(self, orders: int, page_size: int, *, is_real_life: bool = False) -> None:
        self.orders, self.page_size = orders, page_size
        self.order = real_life if is_real_life else order
        self.count = ceil(orders / page_size)
        self.changed = 0.0
        self.latency = 0.0
        self.served = 0
        self.pages = [self._page(number) for number in range(1, self.count + 1)]

    def change(self, share: float) -> None:
        """Moves a share of the orders, spread evenly, to version 1 and all others to version 0."""
        self.changed = share
        self.pages = [self._page(number) for number in range(1, self.count + 1)]

    def _page(self, number: int) -> bytes:
        step = round(1 / self.changed) if self.changed else 0
        first = (number - 1) * self.page_size + 1
        last = min(self.orders, first + self.page_size - 1)
        rows = [self.order(n, 1 if step and n % step == 0 else 0) for n in range(first, last + 1)]
        following = f"https://www.backmarket.fr/ws/orders?page={number + 1}" if number < self.count else None
        document = {"count": self.orders, "next": following, "previous": None, "results": rows}
        return _response(json.dumps(document, ensure_ascii=False).encode())


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


EMPTY = _response(b'{"count": 0, "next": null, "previous": null, "results": []}')


class Server(asyncio.Protocol):
    """A connection: answers one request after the other."""

    pages: Pages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            target = urlsplit(head.split(b" ", 2)[1].decode())
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            asyncio.get_running_loop().call_later(self.pages.latency, self._send, self._respond(target.path, query))

    def _send(self, response: bytes) -> None:
        self.transport.write(response)

    def _respond(self, path: str, query: dict[str, str]) -> bytes:
        pages = self.pages
        if path == "/bench":
            if "changed" in query:
                pages.change(float(query["changed"]))
            pages.latency = float(query.get("latency", pages.latency))
            return _response(json.dumps({"served": pages.served}).encode())
        pages.served += 1
        if "state" in query:
            return EMPTY
        number = int(query.get("page", "1"))
        return pages.pages[number - 1] if number <= pages.count else EMPTY


async def serve(port: int, pages: Pages) -> None:
    Server.pages = pages
    listening = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--page-size", type=int, default=50)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--real-life", action="store_true", help="orders as buyers write them, one of 50 with a flaw")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, Pages(chosen.orders, chosen.page_size, is_real_life=chosen.real_life)))
