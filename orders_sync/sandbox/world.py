"""A world of orders that arrive, are paid, accepted, cancelled and shipped, with their documents and care folders.

The seed and the merchant's actions over the API decide everything: equal seeds and equal actions give equal worlds, at
whatever speed the sandbox's clock runs.
"""

import heapq
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orders_sync.sandbox.entities import (
    ACCEPTED,
    CANCELLED,
    DAY,
    HOUR,
    MERCHANT_MOVES,
    MINUTE,
    NOT_PAID,
    PAID,
    REFUNDED_EARLY,
    REFUNDED_LATE,
    SHIPPED,
    Folder,
    Line,
    SandboxOrder,
)

_FIRST_NAMES = ["Victor", "Zoë", "Jürgen", "Łucja", "Amélie", "Søren", "Inês", "Giulia", "Noah", "Αλέξανδρος"]
_LAST_NAMES = ["Hugo", "O'Brien", "Müller", "Kowalska", "de la Cruz", "Ångström", "Silva", "Rossi", "Smith"]
_CITIES = [
    ("Paris", "75003", "FR"),
    ("Köln", "50667", "DE"),
    ("Madrid", "28001", "ES"),
    ("Torino", "10121", "IT"),
]
_COUNTRY_CODES = {"FR": "fr-fr", "DE": "de-de", "ES": "es-es", "IT": "it-it"}
_MODELS = [
    ("IPHONE13", "iPhone 13 128 GB", "apple", 389), ("IPHONE12", "iPhone 12 64 GB", "apple", 279),
    ("GALAXYS22", "Galaxy S22 128 GB", "samsung", 319), ("PIXEL7", "Pixel 7 128 GB", "google", 259),
    ("MACBOOKAIR", "MacBook Air M1", "apple", 699), ("IPADAIR4", "iPad Air 4 64 GB", "apple", 349),
    ("PS5", "PlayStation 5", "sony", 379), ("AIRPODSPRO", "AirPods Pro", "apple", 129),
]  # fmt: skip
_COLOURS = ["BLACK", "WHITE", "BLUE", "GREEN"]
UNKNOWN_SKU = "MYSTERY-BOX"
"""A SKU that is sold now and then, but is on no stock list."""


class World:
    """All orders and care folders at the time `now`. Not thread-safe: only one server may use it."""

    def __init__(
        self,
        seed: int | str,
        orders: int,
        start: datetime,
        *,
        days: int = 90,
        arrivals_per_day: float = 480.0,
        max_quantity: int = 2,
    ):
        """`orders` orders arrive over the `days` before `start`, then `arrivals_per_day` (0: none).

        `max_quantity`: the most pieces of one line; 1 where the contract has one line for each piece.
        """
        self.max_quantity = max_quantity
        self.seed = seed
        self.start = start
        self.days = days
        self.now = start - timedelta(days=days)
        self.gap = timedelta(days=1 / arrivals_per_day) if arrivals_per_day > 0 else None
        self.orders: dict[int, SandboxOrder] = {}
        self.folders: dict[int, Folder] = {}
        #: Orders that a test put in, in the contract's form, by id.
        self.scripted: dict[int | str, dict[str, Any]] = {}
        self.scripted_folders: dict[int, dict[str, Any]] = {}
        #: Files that a test put in, by path.
        self.scripted_files: dict[str, bytes] = {}
        #: The order of each line, by the line's id.
        self.by_line: dict[int, int] = {}
        #: What the merchant did since the last save_actions().
        self.unsaved_actions: list[dict[str, Any]] = []
        #: Grows with every change, so that lists made from the world can be kept until it does.
        self.version = 0
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._counter = 0
        self._next_order = 50_000_001
        self._next_line = 90_000_001
        self._next_folder = 700_001
        spread = random.Random(f"{seed}/arrivals")
        moments = sorted(spread.random() for _ in range(orders))
        for moment in moments:
            self._plan(self.now + timedelta(days=days) * moment, self._arrive)
        if self.gap is not None:
            self._plan(start + self.gap, self._arrive_and_plan)

    # -- time

    def advance(self, to: datetime) -> None:
        """Carries out everything that is planned up to the time `to`."""
        while self._agenda and self._agenda[0][0] <= to:
            at, _, happen = heapq.heappop(self._agenda)
            self.now = max(self.now, at)
            happen(at)
            self.version += 1
        self.now = max(self.now, to)

    def _plan(self, at: datetime, happen: Callable[[datetime], None]) -> None:
        self._counter += 1
        heapq.heappush(self._agenda, (at, self._counter, happen))

    # -- the life of an order

    def _arrive_and_plan(self, at: datetime) -> None:
        self._arrive(at)
        assert self.gap is not None
        jitter = random.Random(f"{self.seed}/gap/{self._next_order}").uniform(0.5, 1.5)
        self._plan(at + self.gap * jitter, self._arrive_and_plan)

    def _arrive(self, at: datetime) -> None:
        rng = random.Random(f"{self.seed}/{self._next_order}")
        city, postal_code, country = rng.choice(_CITIES)
        first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
        order = SandboxOrder(
            id=self._next_order,
            created=at,
            modified=at,
            lines=[self._line(rng) for _ in range(rng.choices([1, 2, 3], [70, 22, 8])[0])],
            buyer={
                "id": self._next_order, "country": country, "city": city, "postalCode": postal_code,
                "firstName": first, "lastName": last, "company": "", "phoneNumber": f"+336{rng.randrange(10**8):08d}",
                "state": "", "street": f"{rng.randrange(1, 200)}, Imaginary Street", "street2": "",
            },
            country_code=_COUNTRY_CODES[country],
            rng=rng,
        )  # fmt: skip
        self._next_order += 1
        self.orders[order.id] = order
        for line in order.lines:
            self.by_line[line.id] = order.id
        live = at > self.start - DAY
        delay_factor = 0.25 if live else 1.0
        if rng.random() < 0.03:
            self._plan(at + rng.uniform(1, 4) * HOUR * delay_factor, lambda t: self._set_all(order, NOT_PAID, t))
            return
        # Most buyers pay at once. A few take hours: their orders then appear behind the watermark of every client.
        delay = MINUTE * rng.uniform(0.1, 2) if rng.random() < 0.95 else HOUR * rng.uniform(1, 8) * delay_factor
        self._plan(at + delay, lambda t: self._pay(order, t))

    def arrive_paid(self, at: datetime) -> None:
        """Adds a new order that is paid at once."""
        self._arrive(at)
        self._pay(self.orders[max(self.orders)], at)

    def _line(self, rng: random.Random) -> Line:
        code, product, brand, price = rng.choice(_MODELS)
        colour = rng.choice(_COLOURS)
        sku = UNKNOWN_SKU if rng.random() < 0.004 else f"{code}-{colour}"
        line = Line(
            self._next_line, sku, f"{product} - {colour.title()}", brand,
            min(rng.choices([1, 2], [95, 5])[0], self.max_quantity), price * 100 + rng.randrange(0, 5000),
        )  # fmt: skip
        self._next_line += 1
        return line

    def _pay(self, order: SandboxOrder, at: datetime) -> None:
        order.paid = at
        self._set_all(order, PAID, at)
        rng = order.rng
        self._plan(at + rng.uniform(1, 20) * MINUTE, lambda t: self._make_note(order, t))
        if rng.random() < 0.04:
            self._plan(at + rng.uniform(10, 50) * MINUTE, lambda t: self._cancel_waiting(order, t))
        if at < self.start - 6 * HOUR:
            # Until the sandbox starts, the back office accepts.
            self._plan(at + rng.uniform(20, 90) * MINUTE, lambda t: self._accept_all(order, t))
        self._plan(at + DAY, lambda t: self._cancel_waiting(order, t))

    def _accept_all(self, order: SandboxOrder, at: datetime) -> None:
        for line in order.lines:
            if line.state == PAID:
                self._set(order, line, ACCEPTED, at)
        self._prepare(order, at)

    def _prepare(self, order: SandboxOrder, at: datetime) -> None:
        rng = order.rng
        if not any(line.state == ACCEPTED for line in order.lines) or order.label_made is not None:
            return
        order.label_made = at + rng.uniform(2, 60) * MINUTE
        self._plan(order.label_made, lambda t: self._make_label(order, t))
        if rng.random() < 0.02:
            self._plan(at + rng.uniform(1, 5) * HOUR, lambda t: self._refund_early(order, t))
        self._plan(at + rng.uniform(6, 40) * HOUR, lambda t: self._ship(order, t))

    def _make_note(self, order: SandboxOrder, at: datetime) -> None:
        order.note = f"/delivery_note/{order.id}.pdf"
        self._touch(order, at)

    def _make_label(self, order: SandboxOrder, at: datetime) -> None:
        order.label = f"/static/shipment_labels/eu-{order.id}-1.pdf"

    def _refund_early(self, order: SandboxOrder, at: datetime) -> None:
        line = order.lines[0]
        if line.state == ACCEPTED:
            self._set(order, line, REFUNDED_EARLY, at)

    def _cancel_waiting(self, order: SandboxOrder, at: datetime) -> None:
        for line in order.lines:
            if line.state == PAID:
                self._set(order, line, CANCELLED, at)

    def _ship(self, order: SandboxOrder, at: datetime) -> None:
        ready = [line for line in order.lines if line.state == ACCEPTED]
        if not ready:
            return
        order.shipped = at
        order.tracking = f"TRACK{order.id}"
        for line in ready:
            self._set(order, line, SHIPPED, at)
        rng = order.rng
        if rng.random() < 0.08:
            self._plan(at + rng.uniform(2, 12) * DAY, lambda t: self._open_folder(order, ready[0], t))

    def _open_folder(self, order: SandboxOrder, line: Line, at: datetime) -> None:
        rng = order.rng
        folder = Folder(
            self._next_folder, order.id, line.id,
            choice=rng.choices(["REPLACE", "REFUND", "REPAIR", None], [35, 35, 15, 15])[0],
            returned=rng.random() < 0.6, created=at, modified=at,
        )  # fmt: skip
        self._next_folder += 1
        self.folders[folder.id] = folder
        self._plan(at + rng.uniform(1, 9) * DAY, lambda t: self._close_folder(folder, order, line, t))

    def _close_folder(self, folder: Folder, order: SandboxOrder, line: Line, at: datetime) -> None:
        folder.closed = folder.modified = at
        if folder.choice == "REFUND" and line.state == SHIPPED:
            self._set(order, line, REFUNDED_LATE, at)

    def _set_all(self, order: SandboxOrder, state: int, at: datetime) -> None:
        for line in order.lines:
            self._set(order, line, state, at)

    def _set(self, order: SandboxOrder, line: Line, state: int, at: datetime) -> None:
        line.state = state
        self._touch(order, at)

    def _touch(self, order: SandboxOrder, at: datetime) -> None:
        order.modified = at
        self.version += 1

    # -- the merchant's calls

    def merchant_sets(
        self, order_id: int, new_state: int, sku: str | None, at: datetime, line_id: int | None = None
    ) -> str | None:
        """The merchant sets the state of all lines of an order, of those of a SKU, or of one line.

        Returns why that is not allowed; None once it is done.
        """
        order = self.orders[order_id]
        lines = [line for line in order.lines if sku in (None, line.sku) and line_id in (None, line.id)]
        if not lines:
            return f"no orderline of this order has the SKU {sku}"
        movable = [line for line in lines if line.state == MERCHANT_MOVES.get(new_state)]
        if not movable:
            return f"no orderline can go to state {new_state} from state {lines[0].state}"
        self.unsaved_actions.append(
            {"at": at.isoformat(), "order": order_id, "state": new_state, "sku": sku, "line": line_id}
        )
        for line in movable:
            line.refused = new_state == CANCELLED
            self._set(order, line, new_state, at)
        if new_state == ACCEPTED:
            self._prepare(order, at)
        if new_state == SHIPPED:
            order.shipped = at
        return None

    # -- the merchant's actions: the part of the world's history that does not follow from the seed

    def save_actions(self, path: Path) -> None:
        """Appends the merchant's actions since the last call, one JSON object per line."""
        if self.unsaved_actions:
            with path.open("a") as file:
                file.writelines(json.dumps(action) + "\n" for action in self.unsaved_actions)
            self.unsaved_actions.clear()

    def replay_actions(self, path: Path) -> None:
        """Repeats the saved actions of earlier runs, each at its time. Without a file there is nothing to repeat.

        Raises ValueError with the number of a line that can't be read, or whose order this world does not have.
        """
        if not path.exists():
            return
        for number, text in enumerate(path.read_text().splitlines(), 1):
            try:
                action = json.loads(text)
                at, order_id, new_state = datetime.fromisoformat(action["at"]), action["order"], action["state"]
                sku, line_id = action["sku"], action.get("line")
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"line {number} is no action of a merchant ({error!r})") from None
            self.advance(at)
            if order_id not in self.orders:
                raise ValueError(f"line {number}: this world has no order {order_id}")
            self.merchant_sets(order_id, new_state, sku, at, line_id)
        self.unsaved_actions.clear()


def stock_levels(world: World) -> dict[str, int]:
    """The pieces on hand at the start, by SKU: enough of most SKUs, few of some, so that some orders run short."""
    rng = random.Random(f"{world.seed}/stock")
    skus = [f"{model[0]}-{colour}" for model in _MODELS for colour in _COLOURS]
    return {sku: rng.choice([3, 40, 150, 400]) for sku in skus}
