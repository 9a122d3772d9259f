"""The receiving end's connections: who may speak, what has come, what is still to be said to whom."""

from __future__ import annotations

import select
import socket
from collections import deque
from itertools import repeat

from sandbox.errors import Malformed
from sandbox.exchange.codec import Codec
from sandbox.rpc.connection import PATIENT, Connection, wait
from sandbox.rpc.directory import Announced
from sandbox.rpc.framing import number_of, pack_error, readers

#: how long a receiver that closes waits for a sender to read its last answers, in s
FAREWELL = 0.5


class Peer(Connection):
    """A sender's connection, as its receiver has it.

    trusted  has shown the secret, or needs none
    deaf     nothing can be said to it any more; what it has said still counts
    """

    def __init__(self, sock: socket.socket, limit: int, trusted: bool) -> None:
        super().__init__(sock, limit)
        self.trusted = trusted
        self.deaf = False


class Peers:
    """All connections of one receiver. Every input that is not a request adds its reason to `refused`.

    heard   frames that have come and that the owner has not taken yet, oldest first
    closed  whether `close` has been called
    """

    def __init__(self, announced: Announced, limit: int, refused: list[str], codec: Codec) -> None:
        self.heard: deque[tuple[Peer, bytes]] = deque()
        self.closed = False
        self._sole: Peer | None = None  # the one that there is, if there is one only
        self._announced, self._limit, self._refused, self._codec = announced, limit, refused, codec
        self._listener = announced.listener.fileno()
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._peers: dict[int, Peer | None] = {self._listener: None}
        self._unflushed: set[Peer] = set()

    def hear(self, timeout: float) -> None:
        """Take in what comes, waiting up to `timeout` s for the first event; new connections are let in."""
        sole = self._sole
        if timeout >= PATIENT and sole is not None and not sole.out:
            if self._read(sole, patient=True):
                return
            timeout = 0
        came = self._look(timeout)
        if came and not self.heard:  # who has just come may have spoken already
            self._look(0)

    def _look(self, timeout: float) -> bool:
        """Whether somebody has come."""
        came = False
        for descriptor, event in wait(self._poll, self._peers, timeout):
            peer = self._peers[descriptor]
            if peer is None:
                self._let_in()
                came = True
                continue
            if event & select.POLLOUT:
                self._flush(peer)
            if event & ~select.POLLOUT:
                self._read(peer)
        return came

    def _changed(self) -> None:
        peers = [peer for peer in self._peers.values() if peer is not None]
        self._sole = peers[0] if len(peers) == 1 else None

    def say(self, peer: Peer, frame: bytes) -> None:
        """Send a frame now; never wait for a peer that does not read."""
        if peer.deaf:
            return
        try:
            peer.send(frame)
        except OSError:
            self._give_up(peer)
        if peer.out or peer.deaf:
            self._watch(peer)

    def later(self, peer: Peer, frame: bytes) -> None:
        """Send a frame with the next `flush`, together with all others for this peer."""
        if not peer.deaf:
            peer.out += frame
            self._unflushed.add(peer)

    def flush(self) -> None:
        """Send what was left for later."""
        while self._unflushed:
            self._flush(self._unflushed.pop())

    def refuse(self, peer: Peer, frame: bytes, error: Malformed) -> None:
        """A frame that is no request: tell whoever can be told; a stream without even a number is not followed."""
        number = number_of(frame, readers(self._codec))
        if number is not None:
            self._refused.append(str(error))
            self.later(peer, pack_error(number, Malformed.__name__, str(error), self._codec.encode))
        elif not peer.ended:  # once for a connection
            self._refused.append(f"{error}; connection closed")
            self._drop(peer, "it sent what is no request")

    def close(self) -> None:
        """Say what is left to be said, and stop listening."""
        self.closed = True
        self._announced.withdraw()
        for peer in self._peers.values():
            if peer is not None:
                if peer.out:
                    peer.flush_within(FAREWELL)
                peer.close()
        self._peers.clear()
        self._unflushed.clear()

    def _let_in(self) -> None:
        while True:
            try:
                sock, _ = self._announced.listener.accept()
            except OSError:  # nobody else is waiting, or there are no descriptors left: the next look will tell
                return
            if self._announced.secret:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, self._limit, trusted=not self._announced.secret)
            self._peers[peer.fileno] = peer
            self._poll.register(peer.fileno, select.POLLIN)
            self._changed()

    def _read(self, peer: Peer, patient: bool = False) -> bool:
        frames = peer.receive(patient)
        if frames and not peer.trusted:
            peer.trusted = self._knows_secret(frames.pop(0))
            if not peer.trusted:
                self._refused.append("a stranger, who does not know the secret; connection closed")
                self._drop(peer, "a stranger")
                return False
        self.heard.extend(zip(repeat(peer), frames))
        if peer.ended:
            if peer.broken:
                self._refused.append(peer.ended)
            self._drop(peer, peer.ended)
        return bool(frames)

    def _knows_secret(self, said: bytes) -> bool:
        from hmac import compare_digest  # 10 ms of import that Unix sockets can do without

        return compare_digest(said, self._announced.secret.encode())

    def _flush(self, peer: Peer) -> None:
        if peer.deaf:
            return
        try:
            peer.flush()
        except OSError:
            self._give_up(peer)
        self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        """Be told when a peer that has not read everything reads on; or give it up when it never seems to."""
        if len(peer.out) > 4 * self._limit:
            self._refused.append(f"a sender does not read its answers: {len(peer.out)} bytes waited, connection closed")
            self._give_up(peer)
        if not peer.ended:
            self._poll.modify(peer.fileno, select.POLLIN | select.POLLOUT if peer.out else select.POLLIN)

    def _give_up(self, peer: Peer) -> None:
        peer.deaf = True
        peer.give_up()

    def _drop(self, peer: Peer, reason: str) -> None:
        peer.ended = reason
        peer.deaf = True
        self._poll.unregister(peer.fileno)
        del self._peers[peer.fileno]
        peer.close()
        self._changed()
