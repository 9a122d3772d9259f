"""A step of the conversation is left out."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Message, Metadata, Verb, Whole


class DownloadStarted(Body, frozen=True):
    image: Whole
    project: Whole


class DownloadFinished(Body, frozen=True):
    image: Whole
    bytes_sent: Whole
    project: Whole | None = None
    metadata: Metadata = ""


class SaysBothSteps(Speaker):
    def say(self, meant: Any) -> Any:
        return DownloadStarted(meant.image, meant.project), carry(meant, DownloadFinished, project=None)


class JoinsBothSteps(Listener):
    """Bills when it has both, in whatever order they come."""

    def __init__(self) -> None:
        self._waiting: dict[int, Any] = {}

    def understand(self, body: Any) -> Any:
        other = self._waiting.pop(body.image, None)
        if other is None:
            self._waiting[body.image] = body
            return None
        started, finished = (body, other) if isinstance(body, DownloadStarted) else (other, body)
        return carry(finished, ImageDownloaded, project=started.project)


class SaysTheLast(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, DownloadFinished)


class NeedsTheLast(Listener):
    def understand(self, body: Any) -> Any:
        if body.project is None:
            raise ValueError(f"image {body.image}: to whom shall it be billed?")
        return carry(body, ImageDownloaded)


class SaysAll(Speaker):
    def say(self, meant: Any) -> Any:
        return DownloadStarted(meant.image, meant.project), carry(meant, DownloadFinished)


class TakesEither(JoinsBothSteps):
    def understand(self, body: Any) -> Any:
        if isinstance(body, DownloadFinished) and body.project is not None:
            self._waiting.pop(body.image, None)
            return carry(body, ImageDownloaded)
        return super().understand(body)


STARTED = Message("download_started", Verb.TELL, DownloadStarted)
FINISHED = Message("download_finished", Verb.TELL, DownloadFinished)


class StepLeftOut(Change):
    """A download was told in two steps, started (for whom) and finished (how much). Now the first is left out."""

    title, facet = "a step of the conversation is left out", Facet.CONVERSATION
    before = Release(exchange(STARTED, FINISHED, without=["image_downloaded"]), SaysBothSteps, JoinsBothSteps)
    after = Release(exchange(FINISHED, without=["image_downloaded"]), SaysTheLast, NeedsTheLast)
    both = Release(exchange(STARTED, FINISHED, without=["image_downloaded"]), SaysAll, TakesEither)
    advice = "say all in the last step first; then leave the other out"
