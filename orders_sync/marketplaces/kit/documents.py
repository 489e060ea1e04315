"""Reading the documents of an order: what can't be read of them affects neither the others nor another call's."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from orders_sync.marketplaces.kit.adapter import OrderDocuments
from orders_sync.marketplaces.kit.errors import OF_ONE_RECORD, BadAnswerError, MarketplaceError
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS
from orders_sync.model.records import Document, Flaw, Reason, RecordRejectedError

Struct = TypeVar("Struct")


class DocumentsReading:
    """What is read of one order's documents, by one call or several."""

    def __init__(self) -> None:
        self._found: list[Document] = []
        self._flaws: list[Flaw] = []
        self._problems: list[MarketplaceError] = []

    @contextmanager
    def attempt(self) -> Generator[None]:
        """A call, or the decoding of one document; its error is noted, and the reading goes on after it."""
        try:
            yield
        except OF_ONE_RECORD as problem:
            self.note(problem)
        except RecordRejectedError as problem:
            self.note(unreadable(problem))

    def add(self, document: Document, flaws: Sequence[Flaw] = ()) -> None:
        """Adds a document. `flaws`: those of its decoding (`kit.lenient.decode_leniently`)."""
        position = sum(other.kind is document.kind for other in self._found)
        self._found.append(document)
        self.add_flaws(flaws, f"{document.kind}[{position}].")

    def add_flaws(self, flaws: Sequence[Flaw], where: str = "") -> None:
        """Adds flaws of documents. `where`: stands before each of their fields."""
        self._flaws += (Flaw(f"documents.{where}{flaw.field}", flaw.found, flaw.stored) for flaw in flaws)

    def note(self, problem: MarketplaceError) -> None:
        """Notes why some documents could not be read. A problem that all of them share is noted once."""
        if str(problem) not in map(str, self._problems):
            self._problems.append(problem)

    def answer(self) -> OrderDocuments:
        return OrderDocuments(tuple(self._found), tuple(self._flaws), tuple(self._problems))


def missing_value(field: str, allowed: str) -> RecordRejectedError:
    """The error of a document without a value that it is useless without."""
    return RecordRejectedError([Reason(field, "is missing or can't be read", allowed)])


def unreadable(problem: RecordRejectedError) -> BadAnswerError:
    """The problem of an order with a document that can't be read."""
    return BadAnswerError(f"a document can't be read: {problem}")


def no_endless_tries(decode: Callable[[bytes], Struct]) -> Callable[[bytes], Struct]:
    """A decoder for one call, which the client tries again where an answer can't be decoded.

    An answer that comes again, byte for byte, is an error at once. An order whose documents can't be read has its call
    in every pass, and none of it should cost as many tries as a list is worth.
    """
    unreadable: set[int] = set()

    def decode_once(body: bytes) -> Struct:
        try:
            return decode(body)
        except DECODE_ERRORS as error:
            if hash(body) in unreadable:
                raise BadAnswerError(
                    f"the answer about documents came twice and is not that of the contract: {error}"
                ) from None
            unreadable.add(hash(body))
            raise

    return decode_once
