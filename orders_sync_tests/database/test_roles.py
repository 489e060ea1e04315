"""The roles of the orders database on a real server that asks for passwords: who may do what, and who may not."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg.errors import InsufficientPrivilege

from orders_sync.config.account import SellerAccount
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.database.engine import Connection, connect, engine
from orders_sync.database.pruning import prune_rows
from orders_sync.database.rights import HIDDEN, READABLE, rights_of
from orders_sync.database.roles import Roles, RolesError, make_roles, statements
from orders_sync.database.schema import REVISIONS, SchemaError
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.database.tables import metadata
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import stock_connection
from orders_sync.stock.levels import import_levels
from orders_sync.subscriptions.deliveries import acknowledge, claim, refuse
from orders_sync.subscriptions.registration import register
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.debian_postgresql import DebianServer, prepared_server
from orders_sync_tests.marketplaces.medusa_shop import MedusaShop, medusa_account
from orders_sync_tests.marketplaces.scripted_shop import an_order_at
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order
from orders_sync_tests.subscriptions.conftest import an_event, settings

pytestmark = pytest.mark.needs("postgresql")

ROLES = Roles.named("orders_sync")
FAKES = {"back_market": FakeBackMarket, "refurbed": FakeRefurbed, "mirakl": FakeMirakl}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that asks everybody but its administrator for a password."""
    with prepared_server(DebianServer.demand_passwords) as url:
        yield url


@pytest.fixture(scope="module")
def newest_schema(server: str) -> str:
    """The name of a database with the newest schema."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_orders")
    upgrade_schema(f"{server}/template_orders")
    return "template_orders"


@pytest.fixture
def admin(server: str, newest_schema: str) -> Iterator[str]:
    """The administrator's URL of a fresh orders database in which the roles were made and have passwords."""
    name = "orders db"  # a name that needs quoting
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE {newest_schema}'.encode())
    url = f"{server}/{name.replace(' ', '%20')}"
    make_roles(ROLES, url)
    with psycopg.connect(url, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"ALTER ROLE {role} PASSWORD 'word of {role}'".encode())
    yield url
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for role in ROLES:
            connection.execute(f"DROP ROLE {role}".encode())


def url_of(role: str, admin: str) -> str:
    return admin.replace("orders@", f"{role}:word%20of%20{role}@")


@pytest.fixture
def as_writer(admin: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything under test connects as the writer."""
    url = url_of(ROLES.writer, admin)
    monkeypatch.setenv("ORDERS_DATABASE_URL", url)
    return url


@pytest.fixture(params=[*FAKES, "medusa"])
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SellerAccount]:
    """An account at each marketplace, with orders."""
    with ExitStack() as stack:
        if request.param in FAKES:
            fake = stack.enter_context(Marketplace(FAKES[request.param], orders=60, days=20))
            yield sandbox_account(fake, accept_orderlines=request.param == "back_market", retention_days=5)
            return
        monkeypatch.setenv("MEDUSA_KEY", "secret")
        medusa = MedusaShop()
        medusa.records["orders"] = [an_order_at("medusa", number) for number in range(1, 30)]
        yield medusa_account(stack.enter_context(served(medusa.app())), retention_days=5)


def test_the_writer_does_the_whole_work_without_owning_a_table(as_writer: str, admin: str, shop: SellerAccount) -> None:
    with stock_connection("the stock list") as stock:
        import_levels(stock, {"IPHONE13-BLACK": 50, "PHONE": 20})
    for sync_type in ("new", "modified", "care", "incomplete"):
        sync(shop, sync_type)
    with stock_connection("the stock job") as stock:
        apply_pending(stock)
    with connect(admin) as connection:
        assert connection.execute("SELECT count(*) > 20 FROM orders").fetchone() == (True,)
        check_invariants(connection)
    with connect(as_writer) as connection:
        assert blank_buyers_data(connection, shop).orders >= 0
        prune_rows(connection, runs=timedelta(0), events=timedelta(0))
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'shadow')"
        )
        assert owners.fetchall() == [(ROLES.owner,)]
        assert connection.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles "
                                  "WHERE rolname = current_user").fetchone() == (False,)  # fmt: skip
    assert [finding.text for finding in EXAMINATIONS["database"]() if not finding.ok] == []
    for words in (("status",), ("stock", "levels"), ("rejected",), ("stock", "repair")):
        result = run(*words)
        assert result.exit_code == 0, (words, result.output)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE orders ADD COLUMN mine int",
        "DROP TABLE orders",
        "TRUNCATE orders",
        "CREATE INDEX ON orders (status)",
        "CREATE SCHEMA mine",
        "UPDATE schema_compatibility SET oldest_revision = '0001'",
        "DELETE FROM alembic_version",
        "UPDATE manual_acts SET actor = 'somebody else'",
        "DELETE FROM manual_acts",
    ],
)
def test_the_writer_changes_neither_the_schema_nor_what_is_on_record(as_writer: str, statement: str) -> None:
    with connect(as_writer) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement.encode())


def test_an_upgrade_by_the_writer_names_the_role_that_may(
    as_writer: str, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("db", "upgrade").exit_code == 0, "there is nothing to do"
    undo_the_newest_revision(admin)
    result = run("db", "upgrade")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert said.startswith(f"Error: The role {ROLES.writer} may not change the schema of the orders database: ")
    assert said.endswith(f"Run it as {ROLES.owner}: put that role into ORDERS_DATABASE_URL for this command.")
    with pytest.raises(SchemaError):
        upgrade_schema()
    monkeypatch.setenv("ORDERS_DATABASE_URL", url_of(ROLES.owner, admin))
    assert run("db", "upgrade").exit_code == 0


def undo_the_newest_revision(admin: str) -> None:
    """As after the installation of a new release: its newest revision is not applied yet."""
    config = Config()
    config.set_main_option("script_location", str(REVISIONS))
    pool = engine(admin)
    with pool.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    pool.dispose()


def test_the_writer_moves_the_cutover(as_writer: str) -> None:
    assert run("cutover", "begin", "--reason", "a test").exit_code == 0
    with connect(as_writer) as connection:
        assert connection.execute("SELECT to_phase FROM migration_moves").fetchall() == [("parallel",)]


def test_tables_of_later_upgrades_are_open_to_the_writer_and_closed_to_the_reader(admin: str) -> None:
    with connect(url_of(ROLES.owner, admin)) as owner:
        owner.execute("CREATE TABLE later (id int)")
        owner.execute("CREATE TABLE shadow.later (id int)")
        owner.execute("CREATE VIEW reporting.later AS SELECT count(*) FROM orders")
    with connect(url_of(ROLES.writer, admin)) as writer:
        for table in ("later", "shadow.later"):
            writer.execute(f"INSERT INTO {table} VALUES (1)".encode())
    with connect(url_of(ROLES.reader, admin)) as reader:
        assert reader.execute("SELECT * FROM reporting.later").fetchone() == (0,)
        with pytest.raises(InsufficientPrivilege):
            reader.execute("SELECT id FROM later")


def test_the_reader_sees_no_buyer_and_writes_nothing(admin: str) -> None:
    with connect(url_of(ROLES.reader, admin)) as reader:
        assert reader.execute("SELECT account, order_id, status, items_total FROM orders").fetchall() == []
        for table in metadata.tables.values():
            for column in table.columns:
                is_open = column.name in rights_of(table).reader
                try:
                    reader.execute(f"SELECT {column.name} FROM {table.name}".encode())
                except InsufficientPrivilege:
                    assert not is_open, f"{table.name}.{column.name}"
                else:
                    assert is_open, f"{table.name}.{column.name}"
        for statement in ("SELECT * FROM orders", "DELETE FROM lanes", "SELECT * FROM shadow.stock_locks",
                          "CREATE TABLE reporting.mine (id int)", "UPDATE lanes SET watermark = now()"):  # fmt: skip
            with pytest.raises(InsufficientPrivilege):
                reader.execute(statement.encode())


def test_a_subscriber_consumes_its_own_subscription_and_nothing_else(admin: str) -> None:
    with connect(admin) as connection:
        register(
            connection, {"erp": settings(sql={"role": ROLES.subscriber}), "other": settings(sql={"role": "other"})}
        )
        an_event(connection)
    with connect(url_of(ROLES.subscriber, admin)) as subscriber:
        (claimed,) = claim(subscriber, "erp", 10)
        assert claimed.content["kind"] == "OrderCreated"
        refuse(subscriber, "erp", claimed.event_id, "no")
        assert acknowledge(subscriber, "erp", [claimed.event_id]) == 1
        for statement in (
            "SELECT * FROM claim_events('other')", "SELECT order_event(1)", "SELECT FROM order_events",
            "SELECT FROM subscriptions", "UPDATE event_deliveries SET problem = ''", "SELECT check_subscriber('erp')",
        ):  # fmt: skip
            with pytest.raises(InsufficientPrivilege):
                subscriber.execute(statement.encode())
    with connect(url_of(ROLES.writer, admin)) as writer:
        assert claim(writer, "erp", 10) == []
        assert writer.execute("SELECT order_event(1)").fetchone() is not None


def test_the_reader_exports_orders_and_items_and_nothing_that_leads_to_a_buyer(
    admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(admin) as connection:
        store_order(connection, StoredOrder("1", [StoredItem("10")]))
    monkeypatch.setenv("ORDERS_DATABASE_URL", url_of(ROLES.reader, admin))
    for what, first in (("orders", "shop,1,accepted,"), ("items", "shop,1,10,PHONE,")):
        result = run("export", what, "--account", "shop")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[1].startswith(first)
    for what in ("documents", "pick-list"):
        result = run("export", what)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: The user of the orders database lacks a right: ")


def test_no_column_with_a_buyers_data_is_among_the_readers() -> None:
    assert set(READABLE) <= set(metadata.tables)
    for table in metadata.tables.values():
        for name in rights_of(table).reader:
            column = next(each for each in table.columns if each.name == name)
            assert not column.info.get("personal_data"), f"{table.name}.{name}"
            assert name not in HIDDEN
            assert "buyer's data" not in (column.comment or "").lower().replace("without buyer's data", "") or (
                name == "buyer_data_blanked_at"
            ), f"{table.name}.{name}"
    assert "orders" in READABLE
    assert not {"document_contents", "order_changes", "manual_acts"} & set(READABLE)


def test_the_roles_may_be_made_again_and_then_have_the_rights_of_this_release(admin: str) -> None:
    with connect(admin) as connection:
        connection.execute(f"GRANT SELECT (buyer_email) ON orders TO {ROLES.reader}".encode())
        connection.execute(f"GRANT ALL ON schema_compatibility TO {ROLES.writer}".encode())
        connection.execute(f"REVOKE INSERT ON orders FROM {ROLES.writer}".encode())
        before = rights(connection)
    make_roles(ROLES, admin)
    with connect(admin) as connection:
        after = rights(connection)
        assert after != before
    make_roles(ROLES, admin)
    with connect(admin) as connection:
        assert rights(connection) == after
    with connect(url_of(ROLES.reader, admin)) as reader, pytest.raises(InsufficientPrivilege):
        reader.execute("SELECT buyer_email FROM orders")


def rights(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT table_schema, table_name, grantee, privilege_type FROM information_schema.role_table_grants "
        "UNION ALL SELECT table_schema, table_name || '.' || column_name, grantee, privilege_type "
        "FROM information_schema.column_privileges ORDER BY 1, 2, 3, 4"
    ).fetchall()


def test_the_command_shows_the_statements_that_make_the_roles(admin: str, server: str) -> None:
    """They do the same as the command itself, run by hand in psql."""
    shown = run("db", "roles", "--sql").output
    assert shown == "".join(f"{each};\n" for each in statements(ROLES))
    with connect(admin) as connection:
        before = rights(connection)
        connection.execute(f"REVOKE ALL ON orders FROM {ROLES.writer}, {ROLES.reader}".encode())
        connection.execute(shown.replace('DATABASE "orders"', 'DATABASE "orders db"').encode())
        assert rights(connection) == before


def test_an_administrator_who_is_no_superuser_can_make_them(server: str) -> None:
    """As on a managed server: the role owns the database, and may make roles."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE ROLE managed LOGIN CREATEROLE PASSWORD 'managed'")
        connection.execute("CREATE DATABASE managed OWNER managed")
    url = f"{server}/managed".replace("orders@", "managed:managed@")
    roles = Roles.named("managed")
    try:
        with pytest.raises(RolesError, match=r"does not have all tables of this version.*db upgrade"):
            make_roles(roles, url)
        upgrade_schema(url)
        for _ in range(2):
            make_roles(roles, url)
        with connect(f"{server}/managed") as connection:
            assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'").fetchone() == (
                roles.owner,
            )
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("DROP DATABASE managed WITH (FORCE)")
            for role in (*roles, "managed"):
                connection.execute(f"DROP ROLE IF EXISTS {role}".encode())


def test_without_a_server_of_ones_own_there_are_no_roles(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_DATABASE_URL")
    result = run("db", "roles")
    assert (result.exit_code, "The embedded server has one user" in " ".join(result.output.split())) == (1, True)
    assert run("db", "roles", "--prefix", "a b; DROP").exit_code == 1


def test_dagsters_own_database_needs_a_role_that_owns_it_and_nothing_else(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE ROLE of_dagster LOGIN PASSWORD 'word'")
        connection.execute("CREATE DATABASE dagster OWNER of_dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", f"{server}/dagster".replace("orders@", "of_dagster:word@"))
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
    with psycopg.connect(f"{server}/dagster") as connection:
        row = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'runs'").fetchone()
    assert row == ("of_dagster",)
