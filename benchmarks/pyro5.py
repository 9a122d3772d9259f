"""Pyro5: remote objects, beside `socket`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import Pyro5
from Pyro5.api import BatchProxy, Daemon, Proxy, expose

from benchmarks.peer import Peer, windows
from sandbox.exchange.schema import EXCHANGE, CreateVolume, VolumeCreated
from sandbox.floor import Driven, Load
from sandbox.site import Site


class Service:
    """The volume service and metering as one remote object; bodies are JSON, as everywhere here."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    @expose
    def create_volume(self, data: bytes) -> bytes:
        """An ask."""
        body = EXCHANGE.decode("create_volume", data)
        assert isinstance(body, CreateVolume)
        return EXCHANGE.encode_answer(VolumeCreated(body.volume, "host-1"))

    @expose
    def image_downloaded(self, data: bytes) -> None:
        """A tell."""
        EXCHANGE.decode("image_downloaded", data)
        self.taken.append(time.monotonic_ns())


class Pyro(Peer):
    """One daemon, one proxy, over a Unix socket."""

    package = "Pyro5"
    channel = "socket"
    promise = "at most once, receiver acknowledges"
    settings = "Unix socket, msgpack, multiplex server; tells as batched calls of 64, each batch acknowledged"
    asks = True
    ask_goal = 2 / 3

    def install(self, site: Site) -> None:
        """Nothing to make: the daemon makes its socket file."""

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        _configure()
        service = Service()
        with Daemon(unixsocket=_path(site)) as daemon:
            daemon.register(service, "exchange")
            ready()
            daemon.requestLoop(lambda: len(service.taken) < load.tells)
        return service.taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`."""
        _configure()
        asks: list[int] = []
        told: list[int] = []
        with Proxy(f"PYRO:exchange@./u:{_path(site)}") as service:
            service._pyroBind()
            for _ in range(load.asks):
                began = time.monotonic_ns()
                EXCHANGE.decode_answer("create_volume", service.create_volume(EXCHANGE.encode(load.ask)))
                asks.append(time.monotonic_ns() - began)
            batch: Any = BatchProxy(service)
            for size in windows(load, told):
                for _ in range(size):
                    batch.image_downloaded(EXCHANGE.encode(load.tell))
                for _ in batch():  # raises what a call has raised
                    pass
            return Driven(asks, told, time.monotonic_ns())


def _configure() -> None:
    Pyro5.config.SERIALIZER = "msgpack"
    Pyro5.config.SERVERTYPE = "multiplex"


def _path(site: Site) -> str:
    return f"{site.folder}/pyro.sock"
