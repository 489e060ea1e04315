"""A real Medusa 2 server, installed with npm, with Debian's PostgreSQL, on loopback."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests import npm_packages
from orders_sync_tests.debian_postgresql import debian_server

FOLDER = PROJECT_ROOT / ".medusa"
VERSION = "2.21.2"
PACKAGES = {f"@medusajs/{name}": VERSION for name in ("cli", "framework", "medusa")}
CONFIGURATION = """
const { defineConfig } = require("@medusajs/framework/utils")
module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { connection: { ssl: false } },
    http: { storeCors: "*", adminCors: "*", authCors: "*", jwtSecret: "a test", cookieSecret: "a test" },
  },
  admin: { disable: true },
  modules: [{
    resolve: "@medusajs/medusa/fulfillment",
    options: { providers: [
      { resolve: "@medusajs/medusa/fulfillment-manual", id: "manual" },
      { resolve: "./src/modules/printer", id: "parcels" },
    ] },
  }],
})
"""
#: A fulfilment provider as carriers have one: each fulfilment gets a label of its own when it is created.
PRINTER = """
const { AbstractFulfillmentProviderService, ModuleProvider, Modules } = require("@medusajs/framework/utils")
class Printer extends AbstractFulfillmentProviderService {
  async getFulfillmentOptions() { return [{ id: "parcel" }] }
  async validateFulfillmentData(optionData, data) { return data }
  async validateOption() { return true }
  async canCalculate() { return false }
  async createFulfillment(data, items, order, fulfillment) {
    const url = `https://labels.example.com/${fulfillment.id}.pdf`
    return { data: {}, labels: [{ tracking_number: `T-${fulfillment.id}`, tracking_url: "#", label_url: url }] }
  }
  async cancelFulfillment() { return {} }
}
Printer.identifier = "printer"
module.exports = ModuleProvider(Modules.FULFILLMENT, { services: [Printer] })
"""
USER = {"email": "merchant@example.com", "password": "a test's password"}


@contextmanager
def medusa_server() -> Iterator[tuple[str, str]]:
    """The address of a fresh, empty shop, and a secret API key for it."""
    _install()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with debian_server() as postgres:
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE medusa")
        environment = {
            **os.environ, "DATABASE_URL": f"{postgres}/medusa", "MEDUSA_DISABLE_TELEMETRY": "1",
            "HOST": "127.0.0.1", "PORT": str(port),
        }  # fmt: skip
        for command in (["db:migrate"], ["user", "-e", USER["email"], "-p", USER["password"]]):
            _run(["npx", "--no-install", "medusa", *command], environment)
        with (FOLDER / "server.log").open("w") as log:
            process = subprocess.Popen(
                ["npx", "--no-install", "medusa", "start"],
                cwd=FOLDER, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(lambda: _answers(url), seconds=120, what="Medusa")
            yield url, _api_key(url)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(limit(10))


def _install() -> None:
    FOLDER.mkdir(exist_ok=True)
    printer = FOLDER / "src" / "modules" / "printer"
    printer.mkdir(parents=True, exist_ok=True)
    (printer / "index.js").write_text(PRINTER)
    (FOLDER / "medusa-config.js").write_text(CONFIGURATION)
    npm_packages.install(FOLDER, PACKAGES, program="medusa")


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=limit(900), check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=limit(5), trust_env=False).is_success
    except httpx.TransportError:
        return False


def _api_key(url: str) -> str:
    with httpx.Client(base_url=url, timeout=limit(60), trust_env=False) as client:
        token = client.post("/auth/user/emailpass", json=USER).json()["token"]
        key = client.post(
            "/admin/api-keys", json={"title": "sync", "type": "secret"}, headers={"Authorization": f"Bearer {token}"}
        )
        return str(key.json()["api_key"]["token"])
