"""The IMEIs and serial numbers of an item: several, since an item may have several pieces and a device two IMEIs"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0022"
down_revision = "0021"

COLUMNS = {
    "imeis": (
        "Buyer's data: the IMEIs of the item's pieces, of which a device with two SIMs has two; empty: the marketplace "
        "names none."
    ),
    "serial_numbers": ("Buyer's data: the serial numbers of the item's pieces; empty: the marketplace names none."),
}


def upgrade() -> None:
    for new, comment in COLUMNS.items():
        op.add_column("order_items", sa.Column(new, ARRAY(sa.Text()), comment=comment))
    op.execute(_COPY)
    for old in ("imei", "serial_number"):
        op.drop_column("order_items", old)
    op.execute(_NAME_CHANGES_ONLY)
    op.execute(_LEAVE_OUT_OF_EVENTS)
    # The raw records of blanked orders still have them: the next run of the retention blanks those orders again.
    op.execute("UPDATE orders SET buyer_data_blanked_at = NULL WHERE buyer_data_blanked_at IS NOT NULL")


def downgrade() -> None:
    for old in ("imei", "serial_number"):
        op.add_column("order_items", sa.Column(old, sa.Text()))
    op.execute("UPDATE order_items SET imei = imeis[1], serial_number = serial_numbers[1]")
    for new in COLUMNS:
        op.drop_column("order_items", new)


# Those of blanked orders go: until now, the retention has left them.
_COPY = """
UPDATE order_items item SET imeis = CASE WHEN imei <> '' THEN ARRAY[imei] END,
  serial_numbers = CASE WHEN serial_number <> '' THEN ARRAY[serial_number] END
FROM orders placed
WHERE placed.account = item.account AND placed.order_id = item.order_id AND placed.buyer_data_blanked_at IS NULL
  AND (imei <> '' OR serial_number <> '')
"""
# What is blanked must not stay in the old revisions: changes of it are named without their values.
_NAME_CHANGES_ONLY = """
UPDATE order_changes SET items = (
  SELECT jsonb_object_agg(item_id, changes - 'imei' - 'serial_number'
    || CASE WHEN changes ? 'imei' THEN '{"imeis": []}'::jsonb ELSE '{}' END
    || CASE WHEN changes ? 'serial_number' THEN '{"serial_numbers": []}'::jsonb ELSE '{}' END)
  FROM jsonb_each(items) AS one (item_id, changes))
WHERE EXISTS (SELECT FROM jsonb_each(items) AS one (item_id, changes) WHERE changes ?| '{imei,serial_number}')
"""
_LEAVE_OUT_OF_EVENTS = """
UPDATE order_events SET previous = nullif(previous - 'imei' - 'serial_number', '{}')
WHERE previous ?| '{imei,serial_number}'
"""
