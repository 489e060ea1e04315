"""Stock levels by SKU, imported from CSV. Where an import leaves too few pieces for the locks, some become short."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from psycopg import Rollback

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import check_spelling, read_csv
from orders_sync.stock.decision import Cause, Movement, Settled, StockLevel, overdrawn
from orders_sync.stock.input import StockInputError, check_id, check_past_time, check_pieces, one_spelling
from orders_sync.stock.reconcile import StockResult, finish
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import check_in_stock_list
from orders_sync.stock.store import load_levels, stored_sku_case
from orders_sync.stock.unreadable_accounts import readable_skus


class Count(NamedTuple):
    """The pieces of a SKU on the shelf, and when they were counted; None: now."""

    on_hand: int
    counted_at: datetime | None = None


def read_stock_file(file: Path | str, sku_case: SkuCase = SkuCase.EXACT) -> dict[str, Count]:
    """Reads SKU → count from a CSV file with the columns `sku`, `on_hand` and, if it likes, `counted_at`.

    `file`: its path, or its text. The separator is a comma or a semicolon. `counted_at` is an ISO 8601 time, in UTC if
    it has no zone. Raises StockFileError, which names the line: a file with an error is not used at all. By `sku_case`,
    spellings of one SKU are an error too; the SKUs have their form by it.
    """
    counts: dict[str, Count] = {}
    first: dict[str, tuple[str, int]] = {}

    def take(line: int, cells: Mapping[str, str]) -> None:
        written = check_id(cells["sku"], "sku")
        sku = sku_case.form(written)
        check_spelling(written, *first.setdefault(sku, (written, line)))
        if sku in counts:
            raise StockInputError(f"SKU {sku} is in the file twice")
        on_hand = check_pieces(cells["on_hand"], f"on_hand of SKU {sku}")
        counted_at = cells["counted_at"]
        counts[sku] = Count(on_hand, check_past_time(counted_at, f"counted_at of SKU {sku}") if counted_at else None)

    read_csv(file, ("sku", "on_hand"), ("counted_at",), take)
    return counts


class LevelChange(NamedTuple):
    """What an import changes about a SKU, in pieces. `before` is None where the SKU was not in the stock list."""

    sku: str
    before: int | None
    after: int
    reserved: int


class ImportResult(NamedTuple):
    """What an import did, or would do."""

    changes: list[LevelChange]
    """The SKUs whose pieces on hand differ from before."""
    outdated: list[str]
    """The SKUs whose shelf was counted again since then: their pieces stay as they are."""
    applied: StockResult


def import_levels(
    stock: StockConnection,
    counts: Mapping[str, Count | int],
    oversell: frozenset[str] = frozenset(),
    *,
    counted_at: datetime | None = None,
    reason: str = "stock import",
    by: By | None = None,
    dry_run: bool = False,
) -> ImportResult:
    """Sets the pieces on hand of these SKUs, in one transaction.

    Where fewer pieces are counted than are reserved, the newest orders give some back; then waiting locks get what is
    there. `counted_at`: when the shelf was counted, for counts that do not say it; by default now. Pieces that had left
    before are not subtracted when the marketplace reports their shipment later; those that left or came since then are
    subtracted or added, if they are known already. A count that is older than the stored one is left out. `oversell`:
    the accounts whose locks keep their pieces. `by`: the person who imports; None: no person does. `dry_run`: changes
    nothing, and returns what would change. Raises StockInputError if two of the SKUs are one by the stored case rule,
    or if pieces are counted under an alias.
    """
    now = datetime.now(UTC)
    with stock.changing() as transaction:
        given = _in_form(counts, stored_sku_case(stock))
        check_in_stock_list(stock, [sku for sku, count in given.items() if count.on_hand])
        stored = load_levels(stock, given)
        times = {sku: count.counted_at or counted_at or now for sku, count in given.items()}
        before = {sku: level for sku, level in stored.items() if not _is_counted_later(level, times[sku])}
        moved = _moved_since(stock, {sku: times[sku] for sku in before if times[sku] < now})
        after = {
            sku: level._replace(on_hand=max(0, pieces), counted_at=times[sku], missing=max(0, -pieces))
            for sku, level in before.items()
            for pieces in [given[sku].on_hand + moved.get(sku, 0)]
        }
        changes = [
            LevelChange(sku, before[sku].on_hand, level.on_hand or 0, level.reserved)
            for sku, level in after.items()
            if level.on_hand != before[sku].on_hand
        ]
        movements = [
            Movement(change.sku, "counted", pieces, pieces, change.after, "", "", reason, by.user if by else "")
            for change in changes
            for pieces in [change.after - (change.before or 0)]
        ]
        # Those that were counted again since then are in the list as well.
        stock.execute(_SET_COUNTED, [list(stored), [{**stored, **after}[sku].counted_at for sku in stored]])
        settled = Settled({}, after, movements, {}, _counted_as_too_few(stock, before, after))
        applied = finish(stock, (), before, settled, oversell, Cause(reason))
        if by is not None and before:  # else all were counted again since then
            detail = f"{len(before)} SKUs, {len(changes)} with other pieces on hand"
            note_act(stock.connection, by, Act.IMPORT_STOCK, detail=detail)
        if dry_run:
            raise Rollback(transaction)
    return ImportResult(changes, sorted(stored.keys() - before.keys()), applied)


def _in_form(counts: Mapping[str, Count | int], sku_case: SkuCase) -> dict[str, Count]:
    """The counts by the form of their SKUs. Raises StockInputError if two SKUs have the same."""
    given = {sku: counts[spelling] for sku, spelling in one_spelling(counts, sku_case).items()}
    return {sku: count if isinstance(count, Count) else Count(count) for sku, count in given.items()}


def _is_counted_later(level: StockLevel, at: datetime) -> bool:
    """Whether a stock list that was counted later has been imported. Pieces that a person added are no count."""
    return level.imported_at is not None and level.counted_at is not None and level.counted_at > at


def _counted_as_too_few(
    stock: StockConnection, before: Mapping[str, StockLevel], after: Mapping[str, StockLevel]
) -> frozenset[str]:
    """The SKUs of which fewer pieces are counted than are reserved: see Settled.overdrawn.

    A count that takes no piece away is no reason to refuse an import because of an account's file. Where such an
    account may have oversold, nobody gives a piece back until then.
    """
    fewer = overdrawn(before, after)
    oversold = [sku for sku, level in after.items() if level.available() < 0 and sku not in fewer]
    return fewer | (readable_skus(stock, oversold) if oversold else frozenset[str]())


def _moved_since(stock: StockConnection, times: Mapping[str, datetime]) -> dict[str, int]:
    """By how many pieces the shelf of each SKU has changed since it was counted, as far as it is known."""
    return dict(stock.execute(_MOVED_SINCE, [list(times), list(times.values())]).fetchall()) if times else {}


_MOVED_SINCE = """
SELECT moved.sku, sum(moved.pieces)::int FROM unnest(%s::text[], %s::timestamptz[]) AS counted (sku, at)
JOIN stock_movements moved ON moved.sku = counted.sku AND coalesce(moved.moved_at, moved.at) > counted.at
WHERE moved.kind NOT IN ('counted', 'received', 'scrapped') GROUP BY moved.sku
"""
_SET_COUNTED = """
UPDATE stock_levels stored SET imported_at = now(), counted_at = counted.counted_at
FROM unnest(%s::text[], %s::timestamptz[]) AS counted (sku, counted_at) WHERE stored.sku = counted.sku
"""
