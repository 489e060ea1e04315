"""Connections to the orders database."""

import pytest

from orders_sync.database.engine import DatabaseUnreachableError, connect


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://root@127.0.0.1/x", "names a mysql database; allowed is postgresql://"),
        ("orders", "names no kind of database; allowed is postgresql://"),
        ("postgresql://me:secret@127.0.0.1:1/orders", "postgresql://me@127.0.0.1:1/orders does not answer"),
        ("postgresql+psycopg://me@127.0.0.1:1/orders?password=secret", "postgresql://me@127.0.0.1:1/orders does not"),
        ("postgresql://127.0.0.1/orders?nonsense=1", 'does not answer: invalid URI query parameter: "nonsense"'),
    ],
)
def test_an_unusable_url_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str, text: str) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", url)
    with pytest.raises(DatabaseUnreachableError) as problem:
        connect()
    assert text in str(problem.value)
    assert "secret" not in str(problem.value)
