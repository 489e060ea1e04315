"""Faults of the processes of a whole deployment: `orders-sync up` with its web server, daemon and code server.

Nobody helps: after each fault, the schedules and sensors must make every lane work again.
"""

import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import psycopg

from orders_sync.config.environment import STALLED_PASS_SECONDS
from orders_sync.model.lane import SyncType
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.deployment import ACCOUNT, Deployment, account_at
from orders_sync.testing.marketplace import Marketplace
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.faults.changing_marketplace import SKUS, ChangingMarketplace
from orders_sync_tests.faults.report import Report
from orders_sync_tests.faults.story import RECOVERY_SECONDS

CODE_SERVER, DAEMON, WEB = ("code-server", "start"), ("orders_sync.cli", "daemon"), ("orders_sync.cli", "web")
"""Words of the command lines of the parts that `orders-sync up` starts."""
LOADED_CODE = ("api", "grpc")
"""Words of the process of the code server that has loaded the definitions."""
START_SECONDS = 180.0


class SupervisedDeployment(Deployment):
    """A deployment that `orders-sync up` starts and supervises. Every sync is due each minute."""

    def __init__(self, folder: Path, marketplace: Marketplace) -> None:
        super().__init__(
            folder,
            marketplace,
            crons={sync_type.value: "* * * * *" for sync_type in SyncType},
            variables={STALLED_PASS_SECONDS: "60"},
            accounts={ACCOUNT: {**account_at(marketplace), "accept_orderlines": True}},
        )

    def start(self) -> None:
        """Starts it (again) and waits until the web server answers."""
        self.spawn(sys.executable, "-m", "orders_sync.cli", "up", "--no-sandbox", "--port", str(self.port))
        wait_for(self._web_answers, seconds=START_SECONDS, what="the web server")

    def _web_answers(self) -> bool:
        assert self.processes[-1].poll() is None, self.log()[-3000:]
        try:
            return httpx.get(f"{self.url}/operations/health", timeout=5, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def part(self, words: Sequence[str]) -> psutil.Process:
        """A process of `up` whose command line has these words; waits until there is one."""

        def find() -> psutil.Process | None:
            for process in psutil.Process(self.processes[-1].pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if set(words) <= set(process.cmdline()):
                        return process
            return None

        found = wait_for(find, seconds=START_SECONDS, what=f"a process with {words}")
        assert found is not None
        return found

    def runs_of_passes(self) -> list[psutil.Process]:
        """The processes of the runs that are under way."""
        return self.part(LOADED_CODE).children()

    def kill_database(self) -> None:
        """Kills the embedded server."""
        self._database().kill()

    def _database(self) -> psutil.Process:
        pid_file = self.folder / ".state" / "postgres" / "postmaster.pid"
        return psutil.Process(int(pid_file.read_text().split()[0]))

    def freeze_database(self, seconds: float) -> None:
        """Stops the embedded server, with all its sessions, for a while."""
        _freeze([self._database(), *self._database().children()], seconds)

    def sleep(self, seconds: float) -> None:
        """Stops everything for a while, as when a laptop is closed."""
        up = psutil.Process(self.processes[-1].pid)
        _freeze([up, *up.children(recursive=True), self._database(), *self._database().children()], seconds)

    def has_recovered(self, market: ChangingMarketplace, since: datetime) -> bool:
        """Whether every lane has succeeded since, everything is stored as it is, every event is applied, and the web
        server answers."""
        try:
            with self.connect() as connection:
                query = "SELECT count(*) FROM lanes WHERE last_succeeded_at > %s"
                (succeeded,) = connection.execute(query, [since]).fetchone() or (0,)
                (waiting,) = connection.execute(
                    "SELECT count(*) FROM order_events WHERE applied_at IS NULL"
                ).fetchone() or (1,)
                done = succeeded == len(SyncType) and waiting == 0 and not market.outdated(connection)
            return done and self._web_answers()
        except (FileNotFoundError, IndexError, psycopg.Error):
            return False


def _freeze(processes: Sequence[psutil.Process], seconds: float) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(seconds)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


# The faults. Each leaves the deployment to itself afterwards.


def nothing(_: SupervisedDeployment) -> None:
    """No fault: the times of the others are compared with this one's."""


def run_killed(site: SupervisedDeployment) -> None:
    """The process of a run that is under way."""
    for process in wait_for(site.runs_of_passes, seconds=120, every=0.05, what="a run"):
        process.kill()


def run_frozen(site: SupervisedDeployment) -> None:
    """The process of a run that is under way: it wakes up when another one has its lane."""
    _freeze(wait_for(site.runs_of_passes, seconds=120, every=0.05, what="a run"), 100)


def code_server_killed(site: SupervisedDeployment) -> None:
    site.part(LOADED_CODE).kill()


def code_server_frozen(site: SupervisedDeployment) -> None:
    site.part(LOADED_CODE).suspend()


def daemon_killed(site: SupervisedDeployment) -> None:
    site.part(DAEMON).kill()


def daemon_frozen(site: SupervisedDeployment) -> None:
    site.part(DAEMON).suspend()


def web_server_killed(site: SupervisedDeployment) -> None:
    site.part(WEB).kill()


def web_server_frozen(site: SupervisedDeployment) -> None:
    site.part(WEB).suspend()


def all_parts_frozen(site: SupervisedDeployment) -> None:
    for words in (CODE_SERVER, LOADED_CODE, DAEMON, WEB):
        site.part(words).suspend()


def all_parts_killed(site: SupervisedDeployment) -> None:
    for words in (CODE_SERVER, LOADED_CODE, DAEMON, WEB):
        site.part(words).kill()


def database_killed(site: SupervisedDeployment) -> None:
    site.kill_database()


def database_frozen(site: SupervisedDeployment) -> None:
    site.freeze_database(45)


def asleep(site: SupervisedDeployment) -> None:
    site.sleep(90)


def power_cut(site: SupervisedDeployment) -> None:
    """All processes end at once, PostgreSQL included; then `up` is started again."""
    site.kill_database()
    site.kill()
    site.start()


def up_killed(site: SupervisedDeployment) -> None:
    """Only `up` ends, what it started goes on; then `up` is started again."""
    site.processes[-1].kill()
    site.processes[-1].wait(limit(10))
    site.start()


def second_daemon(site: SupervisedDeployment) -> None:
    """Another daemon waits for its turn, and gets it when the first one is killed."""
    second = site.spawn(sys.executable, "-m", "orders_sync.cli", "daemon", "-w", "workspace.yaml")
    site.processes.insert(0, site.processes.pop())  # `up` stays the last one
    wait_for(lambda: "Another daemon works on the database" in site.log(), seconds=120, what="the second daemon")
    site.part(DAEMON).kill()
    time.sleep(20)
    second.send_signal(signal.SIGKILL)
    second.wait(limit(10))


class Kind(NamedTuple):
    """A kind of fault."""

    inject: Callable[[SupervisedDeployment], None]
    expected: str


FAULTS = {
    "none": Kind(nothing, "The next ticks come within a minute."),
    "run killed": Kind(run_killed, "It is failed, and run again."),
    "run frozen": Kind(run_frozen, "Its session is ended, its lane free; what wakes up writes nothing."),
    "code server killed": Kind(code_server_killed, "It is started again."),
    "code server frozen": Kind(code_server_frozen, "No tick is evaluated: code server and daemon are replaced."),
    "daemon killed": Kind(daemon_killed, "It is started again."),
    "daemon frozen": Kind(daemon_frozen, "No tick is evaluated: code server and daemon are replaced."),
    "web server killed": Kind(web_server_killed, "It is started again; the syncs go on."),
    "web server frozen": Kind(web_server_frozen, "It answers nothing: it is replaced; the syncs go on."),
    "all parts frozen": Kind(all_parts_frozen, "They are replaced."),
    "all parts killed": Kind(all_parts_killed, "They are started again."),
    "database killed": Kind(database_killed, "The embedded server is started again; what ended meanwhile, too."),
    "database frozen": Kind(database_frozen, "The work goes on when the server does."),
    "machine asleep": Kind(asleep, "The work goes on when it wakes up."),
    "power cut": Kind(power_cut, "The next start goes on where everything stopped."),
    "`up` killed": Kind(up_killed, "The next start ends what is left of it, and goes on."),
    "second daemon": Kind(second_daemon, "It waits, and takes over."),
}
"""Every kind of fault by its name."""


@contextmanager
def a_deployment() -> Generator[tuple[SupervisedDeployment, ChangingMarketplace]]:
    """A deployment whose first passes are done, and its marketplace."""
    with tempfile.TemporaryDirectory(prefix="osfd-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        market = ChangingMarketplace(random.Random(), marketplace, accepts=True)
        market.change()
        with SupervisedDeployment(Path(folder), marketplace) as site:
            wait_for(lambda: site.has_recovered(market, datetime.min.replace(tzinfo=UTC)), seconds=RECOVERY_SECONDS)
            with site.connect() as connection:
                import_levels(StockConnection(connection), dict.fromkeys(SKUS, 100_000))
            yield site, market


def recover_from(site: SupervisedDeployment, market: ChangingMarketplace, fault: str) -> float:
    """Injects a fault while orders arrive; returns the seconds until everything is right again.

    Raises Violation or the error of an invariant, or AssertionError when it lasts longer than RECOVERY_SECONDS.
    """
    market.change()
    FAULTS[fault].inject(site)
    market.change()
    began, since = time.monotonic(), datetime.now(UTC)
    wait_for(
        lambda: site.has_recovered(market, since), seconds=RECOVERY_SECONDS, every=1, what=f"the recovery from {fault}"
    )
    seconds = time.monotonic() - began
    with site.connect() as connection:
        market.check(connection)
    return seconds


def run_faults(seed: int, count: int) -> Report:
    """Injects so many faults one after the other, in an order that the seed decides; each kind as often as others."""
    chance = random.Random(seed)
    order: list[str] = []
    while len(order) < count:
        order += chance.sample(sorted(FAULTS), len(FAULTS))
    report = Report()
    with a_deployment() as (site, market):
        for number, fault in enumerate(order[:count], 1):
            try:
                seconds = recover_from(site, market, fault)
            except Exception as error:
                report.note_violation(f"{number}: {fault}", error)
                print(site.log()[-3000:], flush=True)
                if site.processes[-1].poll() is not None:
                    site.start()
                continue
            report.seconds[fault].append(seconds)
            print(f"{number}: {fault}: everything was right again after {seconds:.0f} s", flush=True)
    return report
