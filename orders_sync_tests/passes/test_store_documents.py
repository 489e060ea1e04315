"""`incomplete` with `store_documents`: each document's content is fetched once, with the credential where it belongs."""

from hashlib import sha256

import pytest

from orders_sync.database.engine import Connection
from orders_sync.documents.formats import format_of
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_every_document_that_is_listed_is_fetched_once(fake: type[FakeMarketplace], connection: Connection) -> None:
    with Marketplace(fake, orders=60, days=4) as marketplace:
        account = sandbox_account(marketplace, store_documents=True)
        sync(account)
        summary = sync(account, "incomplete")
        assert summary.problems == []
        listed = connection.execute("SELECT count(*) FROM order_documents").fetchone()
        rows = connection.execute(
            "SELECT sha256, format, size, content, url, fetched_at, attempts FROM document_fetches "
            "JOIN document_contents USING (sha256)"
        ).fetchall()
        assert summary.documents_stored == len(rows) > 5
        assert listed == (len(rows),)
        for digest, name, size, content, _, _, attempts in rows:
            assert (digest, size, attempts) == (sha256(content).digest(), len(content), 0)
            assert format_of(content) == name
        again = sync(account, "incomplete")
        assert (again.documents_stored, again.documents_put_off) == (0, 0)
