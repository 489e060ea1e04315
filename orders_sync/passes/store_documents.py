"""The last part of a pass of `incomplete`: fetches the content of documents, and stores it.

One that can't be fetched is put off: the next pass tries it again. It stops nothing else, and never fails the pass.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from orders_sync.documents.formats import UnusableContentError, format_of
from orders_sync.documents.store import (
    Choice,
    DueDocument,
    add_offered_documents,
    due_documents,
    store_content,
    store_failure,
)
from orders_sync.marketplaces.kit.errors import MarketplaceError, of_adapter
from orders_sync.marketplaces.kit.other_hosts import HostNotAllowedError, url_of_document
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.documents import recheck_labelled
from orders_sync.sync.running_pass import RunningPass

GIVE_UP_AFTER = 3
"""If so many documents of one host in a row could not be fetched, its others wait for the next pass."""


def store_due_documents(
    pass_: RunningPass, order_ids: Sequence[str] | None = None, on_storing: Callable[[str], None] = lambda _: None
) -> None:
    """Fetches and stores the content of the documents that have none yet, if the account has `store_documents`.

    `order_ids`: those of these orders only, whatever their status; by default those of open orders, and of orders
    shipped within the account's `days_back`. `on_storing`: see `read_documents`.
    """
    settings = pass_.request.account.settings
    if not settings.store_documents:
        return
    now = pass_.adapter.now()
    since = now - timedelta(days=pass_.request.days_back or settings.days_back)
    choice = Choice(now, since, settings.retention_days, order_ids)
    account = pass_.lane.account
    with pass_.connection.transaction():
        recheck_labelled(pass_.connection, account, add_offered_documents(pass_.connection, account, choice))
    hosts = _Hosts()
    for document in due_documents(pass_.connection, account, choice):
        host = _host(document.url)
        if hosts.is_left_out(host):
            continue
        problem = _fetch(pass_, document, on_storing)
        hosts.note(host, problem)
        pass_.add(_summary(document, problem))
        pass_.note_progress()
    pass_.add(hosts.summary())


class _Hosts:
    """The hosts of documents in one pass: how many could not be fetched in a row, and which are left out since then."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._why: dict[str, Exception] = {}

    def is_left_out(self, host: str) -> bool:
        """Whether no further document of the host is fetched in this pass. Counts the document that waits."""
        if host not in self._why:
            return False
        self._left_out[host] += 1
        return True

    def note(self, host: str, problem: Exception | None) -> None:
        """Notes how the fetching of a document ended."""
        self._in_a_row[host] = 0 if problem is None else self._in_a_row[host] + 1
        if problem is not None and (self._in_a_row[host] >= GIVE_UP_AFTER or _concerns_all_of(host, problem)):
            self._why[host] = problem

    def summary(self) -> PassSummary:
        """The documents that were left out: one problem for each host."""
        return PassSummary(
            documents_put_off=self._left_out.total(),
            problems=[
                f"{count} further documents at {host} wait for the next pass: {self._why[host]}"
                for host, count in self._left_out.items()
            ],
        )


def _concerns_all_of(host: str, problem: Exception) -> bool:
    """Whether no other document of a host can be fetched in this pass. A 401 may be that of one document."""
    if isinstance(problem, HostNotAllowedError):
        return problem.host == host  # and not that of a redirect
    return isinstance(problem, MarketplaceError) and problem.concerns_all_calls and problem.status != 401


def _fetch(pass_: RunningPass, document: DueDocument, on_storing: Callable[[str], None]) -> Exception | None:
    """Fetches and stores one document; the reason if it could not be fetched."""
    account = pass_.lane.account
    try:
        content = _download(pass_, document.url)
        format_ = format_of(content)
    except (MarketplaceError, UnusableContentError) as problem:
        with pass_.connection.transaction():
            store_failure(pass_.connection, account, document, str(problem))
            on_storing(document.order_id)
        return problem
    with pass_.connection.transaction():
        store_content(pass_.connection, account, document, content, format_)
        on_storing(document.order_id)
    return None


def _download(pass_: RunningPass, url: str) -> bytes:
    with of_adapter("download"):
        return pass_.adapter.download(url, pass_.request.account.settings.document_hosts)


def _host(url: str) -> str:
    """The host of a URL, with its port where that is not the scheme's own; "" if the URL can't be read."""
    try:
        return url_of_document(url).netloc.decode()
    except MarketplaceError:
        return ""


def _summary(document: DueDocument, problem: Exception | None) -> PassSummary:
    if problem is None:
        return PassSummary(documents_stored=1)
    return PassSummary(documents_put_off=1, problems=[f"{document}: {problem}"])
