"""`orders-sync db url`, `db status` and `db shell`: where the orders database is, and psql on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orders_sync.database.schema import newest_revision
from orders_sync.database.server_url import masked_url, without_password
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import run


@pytest.mark.parametrize(
    ("url", "masked", "bare", "password"),
    [
        ("postgresql://me:s%40c@h:1/o?sslmode=require", "postgresql://me:***@h:1/o?sslmode=require", "postgresql://me@h:1/o?sslmode=require", "s@c"),
        ("postgresql://me@h/o?password=x", "postgresql://me@h/o?password=***", "postgresql://me@h/o", "x"),
        ("postgresql://h/o", "postgresql://h/o", "postgresql://h/o", None),
        ("postgresql://me:a@b@/o?host=a,b", "postgresql://me:***@/o?host=a,b", "postgresql://me@/o?host=a,b", "a@b"),
    ],
)  # fmt: skip
def test_a_password_is_masked_or_taken_out(url: str, masked: str, bare: str, password: str | None) -> None:
    assert masked_url(url) == masked
    assert without_password(url) == (bare, password)


def test_the_url_is_printed_without_its_password_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql+psycopg://me:secret@db.example.com/orders")
    assert run("db", "url").output == "postgresql://me:***@db.example.com/orders\n"
    assert run("db", "url", "--with-password").output == "postgresql://me:secret@db.example.com/orders\n"


def test_the_status_names_server_and_schema(database_url: str) -> None:
    found = json.loads(run("db", "status", "--json").output)
    assert (found["revision"], found["needed_revision"], found["problem"]) == (
        newest_revision(),
        newest_revision(),
        None,
    )
    assert found["bytes"] > 1_000_000
    assert "needed revision" in run("db", "status").output


@pytest.mark.needs("psql")
def test_psql_gets_the_database_and_its_own_arguments(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orders_sync.cli", "db", "shell", "-At", "-c", "SELECT version_num FROM alembic_version"],
        env=dict(os.environ), capture_output=True, text=True, timeout=limit(60), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{newest_revision()}\n"), done.stderr
    failed = subprocess.run(
        [sys.executable, "-m", "orders_sync.cli", "db", "shell", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input="SELECT nonsense;", env=dict(os.environ), capture_output=True, text=True, timeout=limit(60), check=False,
    )  # fmt: skip
    assert (failed.returncode, "Traceback" in failed.stderr) == (3, False), "the exit code is psql's"


def test_psql_gets_the_password_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments are visible to every user of the machine."""
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD $*"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "orders_sync.cli", "db", "shell", "-l"], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": str(tmp_path), "ORDERS_DATABASE_URL": "postgresql://me:secret@h/orders"},
        timeout=limit(60),
    )  # fmt: skip
    assert done.stdout == "secret --dbname postgresql://me@h/orders -l\n", done.stderr


def test_a_missing_psql_is_named(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("db", "shell")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: psql is not installed: ")
