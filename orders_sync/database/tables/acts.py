"""What people do by hand."""

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text

from orders_sync.database.tables.columns import metadata, moment

manual_acts = Table(
    "manual_acts",
    metadata,
    Column("act_id", BigInteger, Identity(), primary_key=True, comment="Running number of the act."),
    moment("at", "When it was done, by our clock.", now=True),
    Column(
        "actor", Text, nullable=False,
        comment="Who did it: user@machine; in Dagster, the tag `user` of the run, else `Dagster run` and the "
        "beginning of its id.",
    ),
    Column(
        "via", Text,
        comment="Where from: the command, e.g. `orders-sync stock adjust`, or the job, e.g. `Dagster job "
        "adjust_stock`; empty: it was done before this table existed.",
    ),
    Column("run_id", Text, comment="The run that did it: Dagster's run id, or cli-…; empty: it is no run."),
    Column("act", Text, nullable=False, comment="What was done (orders_sync/acts/manual_acts.py), e.g. lock_item."),
    Column("detail", Text, comment="What exactly, in one line without buyer's data; empty: nothing more to say."),
    Column("reason", Text, comment="The reason that the user gave; empty: the act needs none."),
    Column("account", Text, comment="The seller account; empty: it concerns no account, or all."),
    Column("order_id", Text, comment="The marketplace's id of the order; empty: it concerns no single order."),
    Column("item_id", Text, comment="The marketplace's id of the order item; empty: it concerns no single item."),
    Column(
        "sku", Text,
        comment="The SKU of the stock list, or of the item as it was ordered; empty: it concerns no single SKU.",
    ),
    Column("object", Text, comment="Anything else that it concerns, e.g. `lane shop/new` or `event 17`."),
    comment="What people did by hand, one row per act and object. Each row is written in the transaction of its "
    "effect.",
)  # fmt: skip
Index("manual_acts_order", manual_acts.c.account, manual_acts.c.order_id)
