"""Mappings of V1's tables that are ready to use: `preset` of defs/cutover/v1.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

LARAVEL_MARKETPLACES: dict[str, Any] = {
    "tables": {
        "orders": {
            "table": "orders",
            "where": "order_type_id = 3 AND deleted_at IS NULL",  # 1 and 5 are purchase orders and exchanges
            "id": "id",
            "order_id": "reference_id",
            "marketplace": "marketplace_id",
            "status": "status",
            "currency": "currency",  # an id, which `currencies` translates
            "total": "price",
            # Laravel's own columns have the marketplace's times here: V1 does not say when it saw an order.
            "ordered_at": "created_at",
            "seen_at": None,
            "updated_at": "updated_at",
            "delivery_note_url": "delivery_note_url",
            "label_url": "label_url",
            "by_marketplace": {"4": {"order_id": "reference"}},  # refurbed: reference_id is the order's number
        },
        "items": {
            "query": "SELECT item.*, variation.sku AS variation_sku FROM order_items item "
            "LEFT JOIN variation ON variation.id = item.variation_id",
            "where": "deleted_at IS NULL",
            "id": "id",
            "order": "order_id",
            "item_id": "reference_id",
            "sku": "variation_sku",
            "quantity": "quantity",
            "price": "price",
            "status": "status",
            "care_id": "care_id",
            "by_marketplace": {
                "4": {
                    "statuses": {
                        4: ["shipped", "returned", "refunded_after_shipping"],  # delivered
                        5: ["cancelled", "removed", "refunded_before_shipping"],
                    }
                }
            },
        },
        "locks": {
            "table": "marketplace_stock_locks",
            "item": "order_item_id",
            "quantity": "quantity_locked",
            "status": "lock_status",
            "locked_at": "locked_at",
            "released_at": "released_at",
            "consumed_at": "consumed_at",
        },
    },
    "order_statuses": {
        1: ["awaiting_payment", "pending"],
        2: ["accepted"],
        3: ["shipped", "returned", "refunded_after_shipping"],
        4: ["cancelled", "unpaid", "refunded_before_shipping"],
        5: ["refunded_before_shipping", "refunded_after_shipping"],
        6: ["returned", "refunded_after_shipping"],
    },
    "item_statuses": {
        0: ["awaiting_payment"],
        1: ["pending"],
        2: ["accepted"],
        3: ["shipped", "returned"],
        4: ["cancelled", "removed"],
        5: ["refunded_before_shipping"],
        6: ["refunded_after_shipping"],
    },
}
"""A Laravel application that keeps the orders of several marketplaces, purchases and exchanges in one table.

1, 2 and 3 are Back Market and its professional channels, 4 is refurbed.
"""

PRESETS: Mapping[str, dict[str, Any]] = {"laravel_marketplaces": LARAVEL_MARKETPLACES}
_ROWS = ("orders", "items", "locks", "levels")


def with_preset(preset: dict[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it is on top of a preset: mappings are merged key by key, anything else overrides."""
    tables = document.get("tables")
    merged = dict(preset)
    if isinstance(tables, Mapping):
        of_preset = dict(preset["tables"])
        for name in _ROWS:
            given = cast(Mapping[str, Any], tables).get(name)
            if isinstance(given, Mapping) and ("table" in given or "query" in given) and name in of_preset:
                of_preset[name] = {key: each for key, each in of_preset[name].items() if key not in ("table", "query")}
        merged["tables"] = of_preset
    return _merged(merged, document)


def overridden(preset: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """The keys, with dots, at which a document overrides what a preset says with something else."""
    return [key for key, old, new in _both(preset, document) if old != new]


def _merged(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Keys are the same if their texts are: YAML reads `4:` as a number."""
    merged = dict(below)
    present = {str(key): key for key in below}
    for key, value in above.items():
        old = present.get(str(key), key)
        both = isinstance(merged.get(old), Mapping) and isinstance(value, Mapping)
        merged[old] = _merged(merged[old], cast(Mapping[Any, Any], value)) if both else value
    return merged


def _both(below: Mapping[Any, Any], above: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys that both have with a value that is no mapping in both, with their values."""
    present = {str(key): value for key, value in below.items()}
    for key, value in above.items():
        if str(key) not in present:
            continue
        old, where = present[str(key)], f"{at}.{key}".removeprefix(".")
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            yield from _both(cast(Mapping[Any, Any], old), cast(Mapping[Any, Any], value), where)
        else:
            yield where, old, value
