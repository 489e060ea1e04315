"""A marketplace at which orders arrive, are shipped and are cancelled at random, and what must be stored of them."""

import random
from dataclasses import dataclass, field
from typing import Any

import psycopg

from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order

ACCOUNT = "shop"
SKUS = ("PHONE", "CASE", "TABLET")


class Violation(AssertionError):
    """Something that must hold does not."""


@dataclass
class ChangingMarketplace:
    """A marketplace, and what happened to its orders."""

    random: random.Random
    marketplace: Marketplace
    orders: dict[int, str] = field(default_factory=dict[int, str])
    """The orders by id, with what happened to them last. One that waits for the merchant counts as accepted: it will be."""
    accepts: bool = False
    """Whether orders arrive waiting for the merchant, whose account accepts them."""

    def change(self) -> None:
        """New orders arrive; some of the others are shipped or cancelled, or get their delivery note."""
        for _ in range(self.random.randint(1, 40)):
            number = len(self.orders) + 1
            skus = tuple(self.random.sample(SKUS, self.random.randint(1, 2)))
            state, line_state = (1, 1) if self.accepts else (3, 2)
            quantity = self.random.randint(1, 2)
            an_order(self.marketplace, number, state=state, line_state=line_state, skus=skus, quantity=quantity)
            self.orders[number] = "accepted"
        for number in self.random.sample(sorted(self.orders), min(len(self.orders), 8)):
            if self.orders[number] == "accepted":
                what, order_state, line_state = self.random.choice([("shipped", 9, 3), ("cancelled", 9, 4)])
                if self._waits(number):
                    what, line_state = "cancelled", 4
                self.marketplace.set_states(number, order_state, line_state)
                self.orders[number] = what
            elif self.orders[number] == "shipped":
                self.marketplace.put_folder(number, number * 100)
        self.marketplace.pass_time(minutes=self.random.randint(1, 120))

    def _waits(self, number: int) -> bool:
        """Whether the merchant has not accepted an order yet."""
        return self.marketplace.world.scripted[number]["state"] == 1

    def outdated(self, connection: psycopg.Connection[Any]) -> dict[int, tuple[str | None, str]]:
        """The orders whose items have not the marketplace's status, with the stored one and the marketplace's."""
        stored = dict(connection.execute("SELECT order_id, min(status) FROM order_items GROUP BY order_id").fetchall())
        return {
            number: (stored.get(str(number)), expected)
            for number, expected in self.orders.items()
            if stored.get(str(number)) != expected
        }

    def check(self, connection: psycopg.Connection[Any]) -> None:
        """Raises Violation, or the error of an invariant."""
        check_invariants(connection)
        every_listed_order_is_stored_or_rejected(connection, ACCOUNT, self.marketplace.listed())
        if outdated := self.outdated(connection):
            some = dict(list(outdated.items())[:10])
            raise Violation(f"orders whose items have not the marketplace's status: {some}")
        if waiting := [number for number in self.orders if self._waits(number)][:10]:
            raise Violation(f"orders that were not accepted at the marketplace: {waiting}")
        if repeated := self.repeated_acceptances()[:10]:
            raise Violation(f"acceptances of lines that were accepted already: {repeated}")

    def repeated_acceptances(self) -> list[dict[str, Any]]:
        """The acceptances that came again. One that its buyer has cancelled meanwhile is refused, and no repetition."""
        accepted: set[tuple[Any, ...]] = set()
        repeated: list[dict[str, Any]] = []
        for write in self.marketplace.sandbox.writes:
            line = write["order_id"], write["sku"], write["new_state"]
            if not write["problem"]:
                accepted.add(line)
            elif line in accepted:
                repeated.append(write)
        return repeated
