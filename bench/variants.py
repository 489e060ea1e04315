"""The variants that are compared: each writes the bench server's orders into PostgreSQL, or only fetches them.

    python -m bench.variants VARIANT URL        one pass of one variant, in a process of its own

Prints a JSON object: orders, seconds, cpu_seconds (child processes included), peak_mb.
"""

# dlt and pyarrow are installed by `make bench` alone (bench/requirements.txt).
# pyright: reportMissingImports=false

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

PAGE_SIZE = 50
ORM_SAMPLE = 5_000
"""The orders that the variant `orm` handles: it is too slow for all of them, and only its rate is compared."""


def account(url: str, connections: int) -> Any:
    """An account at the bench server, without rate limits, with so many connections."""
    from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
    from orders_sync.marketplaces.kit.accounts import account_from

    provide_sandbox_credentials()
    settings = {
        "marketplace": "back_market", "base_url": url, "token": "BACK_MARKET_SANDBOX_TOKEN",
        "limits": {"enforced": False, "connections": connections},
    }  # fmt: skip
    return account_from("bench", settings, "bench")


def ours(url: str, connections: int = 4) -> int:
    """The whole `modified` pass of this project: lane lock, watermark, validation, raw records, events."""
    from datetime import UTC, datetime

    from orders_sync.model.lane import SyncType
    from orders_sync.passes.run_pass import run_pass
    from orders_sync.sync.pass_request import PassRequest

    request = PassRequest(account(url, connections), SyncType.MODIFIED, "bench", start=datetime(2026, 8, 1, tzinfo=UTC))
    return run_pass(request).fetched


def ours_serial(url: str) -> int:
    """The same over one connection."""
    return ours(url, 1)


def ours_8(url: str) -> int:
    """The same over up to eight connections."""
    return ours(url, 8)


def fetch(url: str) -> int:
    """Only fetches the pages with the adapter, and decodes nothing but the records' ids."""
    return sum(len(page) for page in _pages(_adapter(url)))


def fetch_and_decode(url: str) -> int:
    """Fetches the pages, and decodes each record into its typed form."""
    adapter = _adapter(url)
    count = 0
    for page in _pages(adapter):
        for record in page:
            adapter.decode_order(record.raw)
        count += len(page)
    return count


def _adapter(url: str) -> Any:
    from orders_sync.marketplaces.kit.registry import open_adapter

    return open_adapter(account(url, 4))


def _pages(adapter: Any) -> Iterator[Any]:
    from datetime import UTC, datetime

    yield from adapter.orders("modified", datetime(2026, 8, 1, tzinfo=UTC))
    adapter.close()


def orm(url: str) -> int:
    """SQLAlchemy's ORM, one order at a time: looks it up, adds or updates it and its lines, commits."""
    import httpx
    from sqlalchemy import JSON, ForeignKey, Numeric, create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orm_orders"
        order_id: Mapped[int] = mapped_column(primary_key=True)
        state: Mapped[int]
        date_creation: Mapped[str]
        date_modification: Mapped[str]
        currency: Mapped[str]
        price: Mapped[Any] = mapped_column(Numeric)
        raw: Mapped[Any] = mapped_column(JSON)
        lines: Mapped[list["Line"]] = relationship(cascade="all, delete-orphan")

    class Line(Base):
        __tablename__ = "orm_lines"
        id: Mapped[int] = mapped_column(primary_key=True)
        order_id: Mapped[int] = mapped_column(ForeignKey("orm_orders.order_id"), index=True)
        listing: Mapped[str]
        quantity: Mapped[int]
        state: Mapped[int]
        price: Mapped[Any] = mapped_column(Numeric)

    engine = create_engine(make_url(os.environ["ORDERS_DATABASE_URL"]).set(drivername="postgresql+psycopg"))
    Base.metadata.create_all(engine)
    count, page = 0, 1
    with httpx.Client(base_url=url) as client, Session(engine) as session:
        while count < ORM_SAMPLE:
            document = client.get("/ws/orders", params={"page": page, "page-size": PAGE_SIZE}).json()
            for record in document["results"]:
                order = session.get(Order, record["order_id"])
                if order is None:
                    order = Order(order_id=record["order_id"])
                    session.add(order)
                for name in ("state", "date_creation", "date_modification", "currency", "price"):
                    setattr(order, name, record[name])
                order.raw = record
                lines = {line.id: line for line in order.lines}
                for listed in record["orderlines"]:
                    line = lines.get(listed["id"])
                    if line is None:
                        line = Line(id=listed["id"])
                        order.lines.append(line)
                    for name in ("listing", "quantity", "state", "price"):
                        setattr(line, name, listed[name])
                session.commit()
                count += 1
            if not document["next"]:
                break
            page += 1
    return count


def dlt_rest(url: str) -> int:
    """dlt as its documentation shows it: REST source, merge by primary key, nested lines in a child table."""
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "total_path": None,
                    "stop_after_empty_page": True,
                },
            },
            "resources": [
                {
                    "name": "rest_orders",
                    "primary_key": "order_id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "ws/orders",
                        "params": {"page-size": PAGE_SIZE},
                        "data_selector": "results",
                    },
                }
            ],
        }
    )
    return _run_dlt("rest", source)


def dlt_arrow(url: str) -> int:
    """dlt at its fastest: Arrow tables built by hand for orders and lines, Parquet files, merge."""
    import dlt
    import httpx
    import msgspec
    import pyarrow as pa

    order_columns = (
        "order_id", "state", "date_creation", "date_modification", "date_payment", "currency", "price",
        "shipping_price", "country_code", "payment_method", "delivery_note", "tracking_number",
    )  # fmt: skip
    line_columns = (
        "id", "state", "listing", "quantity", "price", "shipping_price", "currency", "orderline_fee", "product",
        "listing_id",
    )  # fmt: skip
    pages_per_table = 100

    def tables() -> Iterator[Any]:
        page, more = 1, True
        with httpx.Client(base_url=url) as client:
            while more:
                records: list[dict[str, Any]] = []
                for _ in range(pages_per_table):
                    response = client.get("/ws/orders", params={"page": page, "page-size": PAGE_SIZE})
                    document = msgspec.json.decode(response.content)
                    records += document["results"]
                    page += 1
                    more = bool(document["next"])
                    if not more:
                        break
                orders = {name: [record.get(name) for record in records] for name in order_columns}
                orders["raw"] = [msgspec.json.encode(record).decode() for record in records]
                yield dlt.mark.with_table_name(pa.table(orders), "arrow_orders")
                lines = [(record["order_id"], line) for record in records for line in record["orderlines"]]
                columns = {name: [line.get(name) for _, line in lines] for name in line_columns}
                columns["order_id"] = [order_id for order_id, _ in lines]
                yield dlt.mark.with_table_name(pa.table(columns), "arrow_lines")

    @dlt.resource(name="arrow_orders", primary_key="order_id", write_disposition="merge")
    def arrow_orders() -> Iterator[Any]:
        for table in tables():
            if table.meta.table_name == "arrow_orders":
                yield table.data
            else:
                line_tables.append(table.data)

    @dlt.resource(name="arrow_lines", primary_key="id", write_disposition="merge")
    def arrow_lines() -> Iterator[Any]:
        yield from line_tables

    line_tables: list[Any] = []
    return _run_dlt("arrow", [arrow_orders, arrow_lines], loader_file_format="parquet")


def _run_dlt(name: str, source: Any, **options: Any) -> int:
    import dlt

    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    pipeline = dlt.pipeline(
        pipeline_name=f"bench_{name}",
        pipelines_dir=os.environ["BENCH_FOLDER"],
        dataset_name=f"dlt_{name}",
        destination=dlt.destinations.postgres(credentials=os.environ["BENCH_DLT_URL"]),
    )
    pipeline.run(source, **options)
    trace = pipeline.last_trace
    assert trace is not None
    assert trace.last_normalize_info is not None
    return int(trace.last_normalize_info.row_counts.get(f"{name}_orders", 0))


VARIANTS: dict[str, Callable[[str], int]] = {
    "fetch": fetch, "fetch_and_decode": fetch_and_decode, "ours": ours, "ours_serial": ours_serial,
    "ours_8": ours_8, "orm": orm, "dlt_rest": dlt_rest, "dlt_arrow": dlt_arrow,
}  # fmt: skip


def main() -> None:
    from orders_sync.config.sandbox_credentials import provide_sandbox_credentials

    provide_sandbox_credentials()
    name, url = sys.argv[1:]
    began, cpu = time.perf_counter(), time.process_time()
    orders = VARIANTS[name](url)
    used = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        json.dumps(
            {
                "orders": orders,
                "seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - cpu + children.ru_utime + children.ru_stime,
                "peak_mb": max(used.ru_maxrss, children.ru_maxrss) / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
