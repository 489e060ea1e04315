"""Of an error answer, only the published codes are reported."""

import msgspec
import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.error_codes import error_code
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"errors": [{"code": "E1", "message": "for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"}]}, "E1"),
        ({"errors": [{"message": "for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"}]}, "no code given"),
        ({"errors": ["Jane"]}, "no code given"),
        ({"error": {"code": "E", "message": "no order for john.doe@mail.com", "data": {"name": "Doe"}}}, "E"),
        ({"error": {"code": "Jane Doe"}}, "no code given"),
        ({"error": {"code": "jane@doe.example"}}, "no code given"),
        ({"error": {"code": "+33639981234"}}, "no code given"),
        ({"error": {"code": 33639981234}}, "no code given"),
        ({"error": "Jane Doe"}, "no code given"),
        ({"error": {"code": "Doe"}}, "no code given"),
        ({"error": {"code": "buyer/Doe/17"}}, "no code given"),
        ({"error": {"code": "tel:33639981234"}}, "no code given"),
        ({"error": {"code": "NotFound"}, "code": "/errors/order-not-found"}, "/errors/order-not-found NotFound"),
        ({"code": 16, "message": "Jane Doe", "details": []}, "16"),
        ({"type": "/errors/x", "title": "Jane Doe", "detail": "1 Main Street", "status": 400}, "/errors/x"),
        ({"code": "invalid_request", "type": "invalid_data", "message": "Jane"}, "invalid_request invalid_data"),
        ({"code": {"name": "Jane"}, "errors": {"a": 1}}, "no code given"),
        ([{"code": "E1"}], "no readable JSON"),
        ({"message": "ORDER_INVALID_STATE", "status": 400}, "ORDER_INVALID_STATE"),
        ({"message": "Jane", "status": 400}, "no code given"),
        ({"message": "DOE", "status": 400}, "no code given"),
    ],
)
def test_only_the_code_comes_out_of_an_error(body: object, code: str) -> None:
    assert error_code(msgspec.json.encode(body)) == code


def test_an_error_that_is_nested_deeply_has_no_code() -> None:
    assert error_code(b'{"errors": ' + b"[" * 5_000) == "no readable JSON"


def test_nothing_of_an_error_text_is_stored_or_logged(
    marketplace: Marketplace, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    text = "refused for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"
    body = {"errors": [{"code": "E1", "message": text}], "title": text, "detail": text}
    marketplace.fault("status", status=400, times=0, body=body)
    with caplog.at_level("DEBUG"), pytest.raises(PassFailedError, match="with 400: E1") as problem:
        sync(sandbox_account(marketplace))
    stored = repr(connection.execute("SELECT string_agg(r::text, '') FROM lane_runs r").fetchone())
    for part in ("Jane", "Main Street", "c2VjcmV0"):
        assert part not in caplog.text
        assert part not in stored
        assert part not in str(problem.value)
