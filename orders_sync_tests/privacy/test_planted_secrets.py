"""Planted credentials and buyers' data, in whatever a hostile marketplace answers, come out nowhere but as evidence."""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from orders_sync.components.lane_asset import lane_asset
from orders_sync.config.account import SellerAccount
from orders_sync.config.environment import sync_log_file
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_instance.first_day import first_day
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts, retries
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model import known_credentials
from orders_sync.model.known_credentials import KnownCredentials
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.passes.sync_log import log_to_file
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.databases import a_database
from orders_sync.testing.deployment import write_account
from orders_sync.testing.http_server import served
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.cli.command_line import run

TOKEN = "pk_9f3bA7Zq/secretValue17.x"
FORMS = (
    TOKEN,
    quote(TOKEN, safe=""),
    base64.b64encode(TOKEN.encode()).decode().rstrip("="),
    base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("="),
    TOKEN.replace("/", "\\/"),
    "9f3bA7Zq",
)
NAME, STREET, MAIL, PHONE = "Zyxwvut Qplanted", "Secretstreet 17", "zyxwvut.q@mail.example", "+4930123456789"
BUYER = re.compile("zyxwvut|qplanted|secretstreet|4930123456", re.IGNORECASE)
TEXT = f"refused for {NAME}, {STREET}, {MAIL}, {PHONE}"
STORAGE = {"module": "orders_sync.dagster_instance.storage", "class": "OrdersSyncStorage", "config": {}}
MARKETPLACES = ("back_market", "refurbed", "mirakl", "medusa")


def error_document(token: str) -> dict[str, Any]:
    """Each place of the four envelopes, with the credential in another form or with something about the buyer."""
    coded = base64.b64encode(token.encode()).decode()
    return {
        "code": token, "type": coded, "title": TEXT, "detail": f"{TEXT} {quote(token, safe='')}", "message": token,
        "error": {"code": coded.rstrip("="), "type": MAIL, "message": TEXT},
        "errors": [{"code": "Qplanted", "message": TEXT}, {"code": PHONE}, {"code": quote(token, safe="")}],
        "status": 400, NAME: TEXT, token: token,
    }  # fmt: skip


def headers(token: str) -> dict[str, str]:
    return {"X-Request-Id": f"{token} {MAIL}", "Set-Cookie": f"session={token}", "Retry-After": "9000", "Server": NAME}


def page(token: str) -> str:
    return f"<html><title>{TEXT}</title><a href='/?token={quote(token)}'>{token}</a></html>"


ANSWERS: dict[str, Callable[[str], Response]] = {
    "400": lambda token: JSONResponse(error_document(token), 400, headers(token)),
    "401": lambda token: JSONResponse(error_document(token), 401, headers(token)),
    "403 HTML": lambda token: Response(page(token), 403, headers(token), "text/html"),
    "404": lambda token: JSONResponse(error_document(token), 404, headers(token)),
    "409 text": lambda token: Response(f"{token} {TEXT}", 409),
    "429": lambda token: JSONResponse(error_document(token), 429, headers(token)),
    "500": lambda token: JSONResponse(error_document(token), 500),
    "redirect": lambda token: RedirectResponse(f"https://other.example/{quote(NAME)}/{quote(token, safe='')}?t={MAIL}"),
    "redirect to nothing": lambda token: Response("", 302, {"Location": f"http://[{NAME} {token}"}),
    "HTML": lambda token: Response(page(token), 200, media_type="text/html"),
    "other JSON": lambda token: JSONResponse(error_document(token)),
    "no JSON": lambda token: Response(json.dumps(error_document(token))[:-5]),
    "coding": lambda token: Response("x", 200, {"Content-Encoding": f"{NAME} {token}"}),
    "next": lambda token: JSONResponse(
        {"count": 900, "next": f"https://other.example/{NAME}?{token}", "next_page_token": f"{NAME} {token}",
         "results": [{"order_id": NAME}], "orders": [{"id": token}], "data": [{"id": f"{MAIL} {token}"}]}
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credential of all accounts, not known yet; and no waits between the tries of a call."""
    monkeypatch.setattr(known_credentials, "_KNOWN", KnownCredentials())
    monkeypatch.setenv("PLANTED_TOKEN", TOKEN)
    for name in ("FIRST_BACKOFF_SECONDS", "MAX_BACKOFF_SECONDS", "BACKOFF_JITTER_SECONDS"):
        monkeypatch.setattr(retries, name, 0.0)


class HostileMarketplace:
    """Answers each request as its test says, and echoes the credential that it got."""

    def __init__(self) -> None:
        self.answer: Callable[[str], Response] = ANSWERS["400"]
        self.url = ""
        self.tokens: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        token = Request(scope).headers["authorization"].rpartition(" ")[2]
        self.tokens.add(token)
        await self.answer(token)(scope, receive, send)


@pytest.fixture
def hostile() -> Iterator[HostileMarketplace]:
    marketplace = HostileMarketplace()
    with served(marketplace) as marketplace.url:
        yield marketplace


def settings_of(marketplace: str, url: str) -> dict[str, Any]:
    limits = {"enforced": False, "outage_minutes": 0}
    return {"marketplace": marketplace, "base_url": url, "token": "PLANTED_TOKEN", "limits": limits}


def all_rows(connection: psycopg.Connection[Any], *, without: tuple[str, ...] = ()) -> str:
    """Every row of every table, as a text."""
    tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    names = sorted(name for (name,) in tables if name not in without)
    assert names
    return "\n".join(
        repr(connection.execute(SQL("SELECT * FROM {}").format(Identifier(name))).fetchall()) for name in names
    )


def stored_texts(connection: Connection) -> str:
    """Every row of the tables that hold no records of a marketplace as they came, and why records were rejected."""
    reasons = connection.execute("SELECT reasons FROM rejected_records").fetchall()
    return all_rows(connection, without=("error_answers", "rejected_records")) + repr(reasons)


def has_no_token(text: str) -> None:
    for form in FORMS:
        assert form not in text


def outcome(account: SellerAccount, sync_type: str) -> str:
    """The error of a pass, or what went wrong with its records."""
    try:
        return "; ".join(sync(account, sync_type).problems)
    except PassFailedError as error:
        return str(error)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("marketplace", MARKETPLACES)
def test_a_failure_shows_neither_credential_nor_buyer(
    hostile: HostileMarketplace,
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
    marketplace: str,
    answer: str,
) -> None:
    hostile.answer = ANSWERS[answer]
    account = account_from("shop", settings_of(marketplace, hostile.url), "defs.yaml")
    with log_to_file(), caplog.at_level("DEBUG", "orders_sync"):
        for sync_type in ("new", "care"):
            problem = outcome(account, sync_type)
            assert "\n" not in problem
            assert not BUYER.search(problem)
            has_no_token(problem)
            connection.execute("TRUNCATE rate_limits")  # the pause after a 429
    assert any(TOKEN in token or base64.b64encode(TOKEN.encode()).decode()[:30] in token for token in hostile.tokens)
    for text in (caplog.text, sync_log_file().read_text(), stored_texts(connection)):
        assert not BUYER.search(text)
        has_no_token(text)
    evidence = connection.execute("SELECT status, path, headers, body FROM error_answers").fetchall()
    has_no_token(repr(evidence))
    if answer not in ("coding", "next"):
        assert evidence
    if answer in ("400", "401", "403 HTML", "404", "409 text", "429", "500"):
        assert BUYER.search(repr(evidence)), "the evidence is the whole answer"
        number = connection.execute("SELECT max(error_answer_id) FROM error_answers").fetchone()
        assert f"The whole answer: `orders-sync errors show {number and number[0]}`." in problem


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_a_success_shows_neither_credential_nor_buyer(
    fake: type[FakeMarketplace], connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with Marketplace(fake, orders=60, days=30, token=TOKEN) as marketplace:
        account = sandbox_account(marketplace, token="PLANTED_TOKEN")
        with log_to_file(), caplog.at_level("DEBUG"):
            for sync_type in ("new", "modified", "care", "incomplete"):
                summary = sync(account, sync_type)
                has_no_token(repr(summary))
    assert "done: fetched" in caplog.text
    for text in (caplog.text, sync_log_file().read_text(), all_rows(connection)):
        has_no_token(text)
    assert "Victor" not in caplog.text
    assert connection.execute("SELECT FROM error_answers").fetchall() == []


@pytest.mark.parametrize("odd_id", [NAME, MAIL, PHONE, "9" * 150, f"x{TOKEN}"])
def test_an_odd_id_is_in_no_message(connection: Connection, caplog: pytest.LogCaptureFixture, odd_id: str) -> None:
    with Marketplace(FakeBackMarket, token=TOKEN) as marketplace:
        account = sandbox_account(marketplace, token="PLANTED_TOKEN")
        marketplace.world.scripted[1] = {"order_id": odd_id, "orderlines": []}
        with log_to_file(), caplog.at_level("DEBUG", "orders_sync"):
            summary = sync(account, "new")
        assert summary.rejected == 1
    (problem,) = summary.problems
    stored = connection.execute("SELECT summary, problem FROM lane_runs").fetchall()
    for text in (problem, caplog.text, repr(stored)):
        assert odd_id not in text
        assert not BUYER.search(text)
        has_no_token(text)


@pytest.mark.parametrize("answer", ["400", "401", "403 HTML", "429", "redirect", "other JSON"])
def test_the_command_line_shows_neither(
    hostile: HostileMarketplace, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    hostile.answer = ANSWERS[answer]
    for marketplace in MARKETPLACES:
        write_account(tmp_path, marketplace, settings_of(marketplace, hostile.url))
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    commands = (
        ("sync", "--type", "new"), ("status",), ("lanes",), ("doctor",), ("errors", "list"), ("errors", "list", "--json"),
        ("accounts", "check"), ("rejected", "list"), ("log",),
    )  # fmt: skip
    for command in commands:
        output = run(*command).output
        assert not BUYER.search(output), command
        has_no_token(output)
    shown = run("errors", "show", "1").output
    has_no_token(shown)


@pytest.fixture
def event_log(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    with a_database(template, f"dagster_{uuid.uuid4().hex[:16]}") as url:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("answer", ["400", "403 HTML", "redirect"])
def test_dagsters_event_log_and_files_show_neither(
    hostile: HostileMarketplace,
    event_log: psycopg.Connection[Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    hostile.answer = ANSWERS[answer]
    account: SellerAccount = account_from("shop", settings_of("back_market", hostile.url), "defs.yaml")
    asset = lane_asset(Lane("shop", SyncType.INCOMPLETE), account, load_schedules())
    care = lane_asset(Lane("shop", SyncType.CARE), account, load_schedules())
    today = dg.PartitionKeyRange(*[first_day(load_schedules()).isoformat()] * 2)
    resources = {"orders_database": OrdersDatabase()}
    with dg.DagsterInstance.local_temp(str(tmp_path), {"storage": {"custom": STORAGE}}) as instance:
        ended = dg.materialize(
            [care], instance=instance, resources=resources, partition_key=today.start, raise_on_error=False
        )
        dg.materialize([asset], instance=instance, resources=resources, raise_on_error=False)
    assert not ended.success
    texts = [all_rows(event_log), *capfd.readouterr()]
    texts += [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert "127.0.0.1" in texts[0], "the failure is there"
    for text in texts:
        assert not BUYER.search(text)
        has_no_token(text)
