"""A PostgreSQL connection that never makes its user wait: statements go out, results come in later.

psycopg's own methods wait; a sender that must keep its pace cannot. So this drives libpq itself
(psycopg's `pq` layer) in pipeline mode: everything up to a sync point is one transaction.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.db_share.connecting import Connecting
from sandbox.db_share.tables import Statement, Step
from sandbox.errors import ServerUnavailable

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

#: SQLSTATE of "cached plan must not change result type": a column has been added
_PLAN_IS_STALE = b"0A000"
#: ... and of: no such column, table, or operator for its type; another type
_NO_LONGER_FITS = (_PLAN_IS_STALE, b"42703", b"42P01", b"42883", b"42804")
#: seconds that the first connection may take
_PATIENCE = 10.0


class Transaction:
    """Statements that make up one transaction, and what became of them.

    steps    what was sent so far
    purpose  what the user of the pipeline wants to remember about it; None before it is committed
    results  one per step, once it is finished
    error    what PostgreSQL said when it undid the transaction; empty when it is committed
    stale    it was undone only because a statement was prepared before a column was added: send it once more
    """

    __slots__ = ("error", "preparing", "purpose", "results", "stale", "steps")

    def __init__(self, preparing: Statement | None = None) -> None:
        self.steps: list[Step] = []
        self.purpose: Any = None
        self.preparing = preparing
        self.results: list[PGresult] = []
        self.error, self.stale = "", False


class Loss(NamedTuple):
    """The connection broke; nobody knows whether these transactions happened (one that was still open: no)."""

    reason: str
    abandoned: list[Transaction]


class Pipeline:
    """One connection.

    lost     why there is none at the moment; empty while there is one
    rung     whether a notification has come; whoever acts on it sets it back
    proven   the statements that PostgreSQL has prepared, so that they are known to fit the tables

    address  libpq connection string or URL
    options  settings of the session, name=value
    listen   channel whose notifications ring; it is listened to before anything that is sent later
    prepare  statements to prepare whenever it connects; any other is prepared when it is first sent
    """

    def __init__(self, address: str, options: Iterable[str], listen: str, prepare: Sequence[Statement] = ()) -> None:
        import psycopg
        from psycopg import pq

        self._pq, self._error = pq, psycopg.Error
        self._good, self._sync = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), pq.ExecStatus.PIPELINE_SYNC
        self._listen = b'LISTEN "' + listen.replace('"', '""').encode() + b'"'
        self._connecting = Connecting(address, options)
        self._prepare_first = prepare
        self._in_flight: deque[Transaction] = deque()
        self._open: Transaction | None = None
        self._prepared: dict[Statement, bytes] = {}  # -> its name on this connection
        self.proven: set[Statement] = set()
        self._complaints: dict[Statement, str] = {}  # why it could not be prepared
        self._loss: Loss | None = None
        self._pg: PGconn | None = None
        self._unsent, self._names = False, 0
        self.lost, self.rung = "not connected yet", False
        if not self.mend(_PATIENCE):
            raise ServerUnavailable("PostgreSQL", self.lost, way_out="Check the address, or that the server runs.")
        until = time.monotonic() + _PATIENCE
        while self.busy and (left := until - time.monotonic()) > 0:
            self.wait(left)
            self.finished()

    def add(self, steps: Sequence[Step]) -> None:
        """Put steps into the open transaction, which `commit` closes. Without a connection it is lost at once.

        libpq sends what fills its buffer (64 KiB) and the rest with the commit.
        """
        if not self.lost:
            for statement, _ in steps:
                if statement not in self._prepared:
                    self._prepare(statement)
        if self._open is None:
            self._open = Transaction()
            self._track(self._open)
        self._open.steps += steps
        self._try(lambda pg: self._execute(pg, steps))

    def commit(self, purpose: Any) -> None:
        """Close the open transaction, if there is one; whether it happened is known when it is `finished`."""
        if self._open is not None:
            self._open.purpose = purpose
            self._close()

    def send(self, steps: Sequence[Step], purpose: Any) -> None:
        """A transaction of its own. Only while connected and while no transaction is open."""
        self.add(steps)
        self.commit(purpose)

    def finished(self) -> Transaction | None:
        """The next transaction, in the order sent, whose outcome has come; None while there is none. Never waits."""
        gap = False
        while self._in_flight and self._pg is not None and not self.lost and not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:  # once after each statement; twice: nothing more has come
                if gap:
                    break
                gap = True
                continue
            gap = False
            if result.status != self._sync:
                self._collect(self._in_flight[0], result)
            elif (done := self._settled(self._in_flight.popleft())) is not None:
                return done
        self._hear()
        return None

    @property
    def busy(self) -> bool:
        """Whether an outcome has not come yet."""
        return bool(self._in_flight)

    def wait(self, timeout: float) -> None:
        """Wait until something comes, or `timeout` seconds; take in what has come and send on what is unsent."""
        if self._pg is None or self.lost:
            self.mend(timeout)
            return
        socket = self._pg.socket
        try:
            select.select([socket], [socket] if self._unsent else [], [], timeout)
            self._pg.consume_input()
            self._hear()
            if self._unsent:
                self._flush()
        except self._error as error:
            self._lose(str(error))

    def loss(self) -> Loss | None:
        """A loss of the connection that was not told yet."""
        told, self._loss = self._loss, None
        return told

    def mend(self, timeout: float = 0.0) -> bool:
        """Connect again after a loss, waiting at most `timeout` seconds; whether there is a connection now."""
        if not self.lost:
            return True
        pg = self._connecting.go_on(timeout)
        if pg is not None:
            self._connected(pg)
        elif self._connecting.failure:
            self.lost = f"no connection to PostgreSQL: {self._connecting.failure}"
        return not self.lost

    def close(self) -> None:
        """Disconnect. What is in flight may or may not happen."""
        self._connecting.close()
        if self._pg is not None:
            self._pg.finish()
        self._pg, self.lost = None, "closed"

    def _prepare(self, statement: Statement) -> None:
        """Prepare in a transaction of its own, so that a failure undoes nothing but that."""
        assert self._open is None, "an unproven statement needs a transaction of its own"
        self._names += 1
        name = self._prepared[statement] = f"{statement.name}_{self._names}".encode()
        self._internal(statement, lambda pg: pg.send_prepare(name, statement.sql.encode()))

    def _internal(self, statement: Statement, send: Callable[[PGconn], None]) -> None:
        self._open = Transaction(preparing=statement)
        self._track(self._open)
        self._try(send)
        self._close()

    def _track(self, transaction: Transaction) -> None:
        if self.lost:
            self._abandon([transaction])
        else:
            self._in_flight.append(transaction)

    def _execute(self, pg: PGconn, steps: Sequence[Step]) -> None:
        for statement, values in steps:
            pg.send_query_prepared(self._prepared[statement], values)

    def _close(self) -> None:
        self._open = None
        self._try(lambda pg: pg.pipeline_sync())
        self._try(lambda pg: self._flush())

    def _try(self, act: Callable[[PGconn], None]) -> None:
        if self._pg is not None and not self.lost:
            try:
                act(self._pg)
            except self._error as error:
                self._lose(str(error))

    def _flush(self) -> None:
        assert self._pg is not None
        self._unsent = bool(self._pg.flush())

    def _collect(self, transaction: Transaction, result: PGresult) -> None:
        if result.status not in self._good and not transaction.error:
            transaction.error = result.get_error_message().strip()
            if len(transaction.results) < len(transaction.steps):
                statement = transaction.steps[len(transaction.results)][0]
                transaction.error = self._complaints.get(statement, transaction.error)
                state = result.error_field(self._pq.DiagnosticField.SQLSTATE)
                transaction.stale = state == _PLAN_IS_STALE
                if state in _NO_LONGER_FITS:
                    self._forget(statement)
        transaction.results.append(result)

    def _forget(self, statement: Statement) -> None:
        """Somebody has changed its table since it was prepared: prepare it again, under another name."""
        self._prepared.pop(statement, None)
        self.proven.discard(statement)

    def _hear(self) -> None:
        """Take in notifications; those that came behind results can be seen only when the results are taken."""
        while self._pg is not None and self._pg.notifies():
            self.rung = True

    def _settled(self, transaction: Transaction) -> Transaction | None:
        """The transaction, unless it only prepared something."""
        statement = transaction.preparing
        if statement is None:
            return transaction
        if transaction.error:
            self._complaints[statement] = transaction.error
            self._prepared.pop(statement, None)
        else:
            self._complaints.pop(statement, None)
            self.proven.add(statement)
        return None

    def _lose(self, reason: str) -> None:
        self.lost = f"no connection to PostgreSQL: {reason.strip()}"
        self._abandon(self._in_flight)
        self._in_flight.clear()
        if self._pg is not None:
            self._pg.finish()
            self._pg = None

    def _abandon(self, transactions: Iterable[Transaction]) -> None:
        earlier = self._loss.abandoned if self._loss else []
        self._loss = Loss(self.lost, [*earlier, *(gone for gone in transactions if not gone.preparing)])

    def _connected(self, pg: PGconn) -> None:
        self._pg = pg
        pg.nonblocking = 1
        pg.enter_pipeline_mode()
        self.lost, self._open = "", None
        self._prepared.clear()
        self.proven.clear()
        self._internal(Statement("listen", ""), lambda pg: pg.send_query_params(self._listen, None))
        for statement in self._prepare_first:
            self._prepare(statement)
        self.rung = True  # what has rung meanwhile was not heard
