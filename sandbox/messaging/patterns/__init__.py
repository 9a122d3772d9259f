"""Enterprise Integration Patterns over any channel: each takes from one pipe and begins on another.

    pipe.py             any channel, installed at a place, as one party sees it
    step.py             take, pass on, settle: what every pattern promises about order and duplicates
    content_router.py   what a message says decides where it goes
    message_filter.py   lets pass what somebody wants to hear
    translator.py       from one party's schema into another's
    wire_tap.py         somebody listens in, and neither side is touched
    dead_letters.py     what was set aside: look at it, repair it, replay it
    shelves.py          where the dead letters of each channel lie
    notifications.py    an example: what Glance tells and Ceilometer bills

In a notebook:

    told, wanted = Pipe.lay("streams", ["filter"], NOTIFICATIONS), Pipe.lay("spool", schema=NOTIFICATIONS)
    with MessageFilter(told, "filter", wanted, {"event_type": "image.send$", "priority": "info"}).start():
        told.send(Operation(1, "notification", Notification(...)))
        wanted.receive("metering", 1)
"""

from sandbox.messaging.patterns.content_router import ContentRouter
from sandbox.messaging.patterns.dead_letters import DeadLetters
from sandbox.messaging.patterns.message_filter import MessageFilter
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.shelves import DeadLetter
from sandbox.messaging.patterns.step import Running, Step
from sandbox.messaging.patterns.translator import Translator
from sandbox.messaging.patterns.wire_tap import WireTap

__all__ = [
    "ContentRouter",
    "DeadLetter",
    "DeadLetters",
    "MessageFilter",
    "Pipe",
    "Running",
    "Step",
    "Translator",
    "WireTap",
]
