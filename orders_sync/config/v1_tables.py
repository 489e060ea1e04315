"""Where V1's rows are: its tables and columns, as `tables` of defs/cutover/v1.yaml maps them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orders_sync.model.statuses import Status

LockState = Literal["locked", "consumed", "released"]
"""What V1 has done with the pieces of a lock."""
_COLUMNS_ONLY = frozenset(["table", "query", "where", "by_marketplace", "currencies", "statuses", "states"])
"""Settings of a table that are no names of columns."""


def _with_text_keys(value: object) -> object:
    """A mapping whose keys are texts: YAML reads `1:` as a number. Raises ValueError for a key that is there twice."""
    if not isinstance(value, Mapping):
        return value
    found: dict[object, object] = {}
    for key, each in cast(Mapping[object, object], value).items():
        name = str(key).strip() if isinstance(key, int | str) and not isinstance(key, bool) else key
        if name in found:
            raise ValueError(f"{name} is there twice, as a number and as a text")
        found[name] = each
    return found


TEXT_KEYS = BeforeValidator(_with_text_keys)
"""For a mapping by V1's own values, e.g. its marketplaces, which may be numbers."""


class SettingsModel(BaseModel):
    """Settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class V1Rows(SettingsModel):
    """Rows of V1: those of one table or view, or those of one query."""

    @model_validator(mode="before")
    @classmethod
    def _query_replaces_the_default_table(cls, value: object) -> object:
        if isinstance(value, Mapping):
            given = cast(Mapping[str, object], value)
            if given.get("query") is not None and "table" not in given:
                return {**given, "table": None}
        return cast(object, value)

    @model_validator(mode="after")
    def _come_from_one_place(self) -> Self:
        if (self.source("table") is None) == (self.source("query") is None):
            raise ValueError("needs either table or query, and not both; where may stand beside each")
        return self

    def source(self, name: Literal["table", "query", "where"]) -> str | None:
        """The table, the query or the condition; None where there is none, or it is blank."""
        value: str | None = getattr(self, name)
        return value if value is not None and value.strip(" \t\r\n;") else None

    def columns(self) -> dict[str, str]:
        """The name of each column that V1 has, by its setting."""
        return {
            setting: value
            for setting, value in self
            if setting not in _COLUMNS_ONLY and isinstance(value, str)
        }  # fmt: skip

    def of_marketplace(self, marketplace: str) -> Self:
        """These settings as they are for one of V1's marketplaces: with what `by_marketplace` has for it."""
        differing: SettingsModel | None = getattr(self, "by_marketplace", {}).get(marketplace)
        if differing is None:
            return self
        given: dict[str, Any] = {name: getattr(differing, name) for name in differing.model_fields_set}
        given.pop("statuses", None)
        return self.model_copy(update=given)


class OrdersOfMarketplace(SettingsModel):
    """What differs for the orders of one of V1's marketplaces."""

    order_id: str | None = Field(default=None, description="Column of the marketplace's order id.")
    status: str | None = Field(default=None, description="Column of the order's status.")
    currency: str | None = Field(default=None, description="Column of the currency.")
    total: str | None = Field(default=None, description="Column of the total.")
    ordered_at: str | None = Field(default=None, description="Column of the time when the buyer ordered.")
    seen_at: str | None = Field(default=None, description="Column of the time when V1 stored the order.")
    updated_at: str | None = Field(default=None, description="Column of the time of V1's last change.")
    delivery_note_url: str | None = Field(default=None, description="Column of the delivery note's URL.")
    label_url: str | None = Field(default=None, description="Column of the shipping label's URL.")
    statuses: dict[int, list[Status]] = Field(
        default_factory=dict[int, list[Status]], description="The numbers that mean something else than elsewhere."
    )

    @model_validator(mode="after")
    def _has_what_orders_need(self) -> Self:
        _refuse_null(self, "order_id", "status", "ordered_at")
        return self


class ItemsOfMarketplace(SettingsModel):
    """What differs for the items of one of V1's marketplaces."""

    item_id: str | None = Field(default=None, description="Column of the marketplace's id of the orderline.")
    sku: str | None = Field(default=None, description="Column of the SKU.")
    quantity: str | None = Field(default=None, description="Column of the quantity.")
    price: str | None = Field(default=None, description="Column of the price for the whole quantity.")
    status: str | None = Field(default=None, description="Column of the item's status.")
    care_id: str | None = Field(default=None, description="Column of the id of the latest care record.")
    updated_at: str | None = Field(default=None, description="Column of the time of V1's last change.")
    statuses: dict[int, list[Status]] = Field(
        default_factory=dict[int, list[Status]], description="The numbers that mean something else than elsewhere."
    )

    @model_validator(mode="after")
    def _has_what_items_need(self) -> Self:
        _refuse_null(self, "item_id", "sku", "quantity")
        return self


def _refuse_null(settings: SettingsModel, *names: str) -> None:
    for name in names:
        if name in settings.model_fields_set and getattr(settings, name) is None:
            raise ValueError(f"{name} can't be null; name the column, or leave the key out")


class OrdersTable(V1Rows):
    """V1's orders."""

    table: str | None = Field(default="orders", description="Name of the table or view.")
    id: str = Field(default="id", description="Column of V1's own id.")
    order_id: str = Field(default="marketplace_order_id", description="Column of the marketplace's order id.")
    marketplace: str = Field(default="marketplace", description="Column of V1's name or number of the marketplace.")
    status: str = Field(default="status", description="Column of the order's status, a number.")
    currency: str | None = Field(
        default="currency", description="Column of the ISO 4217 currency code, or of an id that `currencies` has."
    )
    total: str | None = Field(default="total", description="Column of the total in that currency.")
    ordered_at: str = Field(default="ordered_at", description="Column of the time when the buyer ordered.")
    seen_at: str | None = Field(default="created_at", description="Column of the time when V1 stored the order.")
    updated_at: str | None = Field(default="updated_at", description="Column of the time of V1's last change.")
    delivery_note_url: str | None = Field(default="delivery_note_url", description="Column of the delivery note's URL.")
    label_url: str | None = Field(default="label_url", description="Column of the shipping label's URL.")
    where: str | None = Field(
        default=None, description="Only rows that meet this SQL condition are orders, e.g. deleted_at IS NULL."
    )
    query: str | None = Field(default=None, description="A SELECT in place of a table; its columns are those above.")
    currencies: Annotated[dict[str, str], TEXT_KEYS] = Field(
        default_factory=dict, description="The ISO 4217 code of each of V1's ids of a currency, where it stores ids."
    )
    by_marketplace: Annotated[dict[str, OrdersOfMarketplace], TEXT_KEYS] = Field(
        default_factory=dict[str, OrdersOfMarketplace],
        description="What differs for one of V1's marketplaces: columns, and `statuses` as of `order_statuses`.",
    )


class ItemsTable(V1Rows):
    """V1's order items."""

    table: str | None = Field(default="order_items", description="Name of the table or view.")
    id: str = Field(default="id", description="Column of V1's own id.")
    order: str = Field(default="order_id", description="Column that refers to the id of V1's orders.")
    item_id: str = Field(default="orderline_id", description="Column of the marketplace's id of the orderline.")
    sku: str = Field(default="sku", description="Column of the SKU.")
    quantity: str = Field(default="quantity", description="Column of the quantity, in pieces.")
    price: str | None = Field(default="price", description="Column of the price for the whole quantity.")
    status: str | None = Field(default="status", description="Column of the item's status, a number.")
    care_id: str | None = Field(default="care_id", description="Column of the id of the latest care record.")
    updated_at: str | None = Field(default=None, description="Column of the time of V1's last change.")
    where: str | None = Field(
        default=None, description="Only rows that meet this SQL condition are items, e.g. deleted_at IS NULL."
    )
    query: str | None = Field(
        default=None, description="A SELECT in place of a table, e.g. one that joins the table which has the SKU."
    )
    by_marketplace: Annotated[dict[str, ItemsOfMarketplace], TEXT_KEYS] = Field(
        default_factory=dict[str, ItemsOfMarketplace],
        description="What differs for one of V1's marketplaces: columns, and `statuses` as of `item_statuses`.",
    )


class LocksTable(V1Rows):
    """V1's stock locks."""

    table: str | None = Field(default="stock_locks", description="Name of the table or view.")
    item: str = Field(default="order_item_id", description="Column that refers to the id of V1's items.")
    quantity: str = Field(default="quantity", description="Column of the locked quantity, in pieces.")
    released_at: str | None = Field(default="released_at", description="Column of the time of the release.")
    consumed_at: str | None = Field(default="consumed_at", description="Column of the time when the pieces had left.")
    locked_at: str | None = Field(default=None, description="Column of the time when the pieces were locked.")
    status: str | None = Field(
        default=None,
        description="Column of the lock's state, a word; it counts more than the times. Null: the times say it.",
    )
    states: Annotated[dict[str, LockState], TEXT_KEYS] = Field(
        default_factory=dict[str, LockState],
        description="What V1's words for the state mean, where they are not locked, consumed and released.",
    )
    where: str | None = Field(default=None, description="Only rows that meet this SQL condition are locks.")
    query: str | None = Field(default=None, description="A SELECT in place of a table; its columns are those above.")


class LevelsTable(V1Rows):
    """V1's stock on hand."""

    table: str | None = Field(default="stock_levels", description="Name of the table or view.")
    sku: str = Field(default="sku", description="Column of the SKU; rows of the same SKU are added up.")
    on_hand: str = Field(default="on_hand", description="Column of the pieces on hand.")
    where: str | None = Field(default=None, description="Only rows that meet this SQL condition are levels.")
    query: str | None = Field(default=None, description="A SELECT in place of a table; its columns are those above.")


class Tables(SettingsModel):
    """V1's tables and columns. A column that V1 does not have is null."""

    orders: OrdersTable = Field(default_factory=OrdersTable, description="V1's orders.")
    items: ItemsTable = Field(default_factory=ItemsTable, description="V1's order items.")
    locks: LocksTable | None = Field(
        default_factory=LocksTable, description="V1's stock locks; null when V1 locks no stock."
    )
    levels: LevelsTable | None = Field(
        default=None, description="V1's stock on hand, to be compared: a mapping; null when V1 has none."
    )
