"""What the tables share: their metadata, columns that many have, and the comments of keys."""

from sqlalchemy import Column, DateTime, MetaData, Text, func, text

metadata = MetaData()

NOW = func.now()
EMPTY_JSON = text("'{}'::jsonb")

PERSONAL_DATA = {"personal_data": True}
"""The `info` of columns that hold the buyer's personal data."""

ADDRESS_PARTS = (
    "first_name", "last_name", "company", "street", "street2",
    "postal_code", "city", "state", "country", "phone",
)  # fmt: skip

BUYER_COLUMNS = ("buyer_email", *(f"{kind}_{part}" for kind in ("shipping", "billing") for part in ADDRESS_PARTS))
"""The columns of orders that say who the buyer is, and where."""

TRACE_COLUMNS = ("tracking_number", "tracking_url", "delivery_note_url", "label_url")
"""The columns of orders that lead to the buyer: the carrier shows the address, the label has it printed on."""

BLANKED_COLUMNS = (*BUYER_COLUMNS, *TRACE_COLUMNS)
"""The columns of orders that are blanked with the buyer's data."""

DEVICE_COLUMNS = ("imeis", "serial_numbers")
"""The columns of order_items that identify the device that the buyer has."""

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
ORDER_ID = "The marketplace's id of the order."
ITEM_ID = "The marketplace's id of the order item (orderline)."
SYNC_TYPE = "Sync type of the lane: new, modified, care or incomplete."
STATUS = "Status in the project's vocabulary (orders_sync/model/statuses.py), e.g. pending or shipped."
MARKETPLACE_STATE = "State as the marketplace names it."
SKU = "Stock keeping unit: the seller's own id of the product."
OUTCOME = "running, succeeded, partial (some records could not be fetched, and are rejected records) or failed."
BLANKED_AT = (
    "When the buyer's data was blanked, by the account's retention or by `buyer erase`; empty: it was not. The year "
    "1970: by an older version, which left more; the next retention blanks it anew."
)
UNUSED = "Unused since revision 0040; a later one drops it."
FIRST_STORED_AT = "When we stored the row first, by our clock."
STORED_AT = "When we stored its latest change, by our clock."


def moment(name: str, comment: str, *, now: bool = False) -> Column[object]:
    """A moment; with `now`, required, and the time of the insert by default."""
    if now:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=NOW, comment=comment)
    return Column(name, DateTime(timezone=True), comment=comment)


def address_columns(kind: str) -> list[Column[str]]:
    """The ten columns of a buyer's address."""
    return [
        Column(
            f"{kind}_{part}",
            Text,
            info=PERSONAL_DATA,
            comment=f"Buyer's data: {part.replace('street2', 'second line of the street').replace('_', ' ')} "
            f"of the {kind} address.",
        )
        for part in ADDRESS_PARTS
    ]
