"""faststream on Redis streams, beside `streams`: one message at a time, read in batches, and sent in batches too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import redis
import uvloop
from faststream.redis import RedisBroker, StreamSub

from benchmarks.peer import Peer, windows
from sandbox.exchange.schema import EXCHANGE
from sandbox.floor import Driven, Load
from sandbox.site import Site


class FastStream(Peer):
    """A publish and a handler's call per message, 64 publishes in flight."""

    package = "faststream"
    channel = "streams"
    needs = ("redis",)
    promise = "at least once, broker accepts"
    settings = (
        "consumer group, 64 entries a read, no logger, no validation by pydantic, uvloop (as its command line); "
        "64 publishes in flight, a handler's call and an acknowledgement per message"
    )
    tell_goal = 3.0
    batched = False

    def install(self, site: Site) -> None:
        """Nothing to make: the subscriber makes stream and group."""

    def uninstall(self, site: Site) -> None:
        """Remove the stream."""
        with redis.Redis.from_url(site.address("redis")) as client:
            client.delete(_key(site))

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        return uvloop.run(self._serve(site, load, ready))

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`."""
        return uvloop.run(self._drive(site, load))

    async def _serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        taken: list[int] = []
        done = asyncio.Event()

        def took(bodies: list[dict[str, Any]]) -> None:
            for body in bodies:
                EXCHANGE.convert("image_downloaded", body)
                taken.append(time.monotonic_ns())
            if len(taken) >= load.tells:
                done.set()

        async def metering(body: dict[str, Any]) -> None:
            took([body])

        async def metering_batch(bodies: list[dict[str, Any]]) -> None:
            took(bodies)

        broker = _broker(site)
        place = StreamSub(_key(site), group="metering", consumer="server", max_records=64, batch=self.batched)
        broker.subscriber(stream=place)(metering_batch if self.batched else metering)
        async with broker:
            await broker.start()
            ready()
            await done.wait()
        return taken

    async def _drive(self, site: Site, load: Load) -> Driven:
        told: list[int] = []
        async with _broker(site) as broker:
            await asyncio.gather(*(broker.ping(5.0) for _ in range(load.window)))  # opens its connections
            for size in windows(load, told):
                await self._publish(broker, site, load, size)
            return Driven([], told, time.monotonic_ns())

    async def _publish(self, broker: RedisBroker, site: Site, load: Load, size: int) -> None:
        await asyncio.gather(*(_send(broker, site, load) for _ in range(size)))


class FastStreamBatch(FastStream):
    """64 publishes in flight; read, handled and acknowledged by up to 64."""

    package = "faststream-batch"
    settings = "as faststream, with StreamSub(batch=True): a handler's call and an acknowledgement per read"
    batched = True


class FastStreamPipeline(FastStreamBatch):
    """Another load than ours: the sender has 64 messages at once, to put into one round trip."""

    package = "faststream-pipeline"
    settings = "as faststream-batch, and 64 publishes put into one pipeline: no longer one send at a time, as ours is"

    async def _publish(self, broker: RedisBroker, site: Site, load: Load, size: int) -> None:
        async with broker.config.connection.client.pipeline() as pipe:
            for _ in range(size):
                await _send(broker, site, load, pipeline=pipe)
            await pipe.execute()


def _send(broker: RedisBroker, site: Site, load: Load, **how: Any) -> Coroutine[Any, Any, Any]:
    return broker.publish(EXCHANGE.encode(load.tell), stream=_key(site), **how)


def _broker(site: Site) -> RedisBroker:
    return RedisBroker(site.address("redis"), logger=None, apply_types=False)


def _key(site: Site) -> str:
    return f"{site.name}:faststream"
