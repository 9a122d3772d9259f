"""Runs all claims against one channel, several at a time: they mostly wait, and each has a site of its own."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args, get_origin, get_type_hints

from sandbox.channel import Channel
from sandbox.conformance import acceptance, answers, contract, delivery, state
from sandbox.conformance.claims import CLAIMS, DoomedServers
from sandbox.conformance.report import Report
from sandbox.errors import BadArgument
from sandbox.harness.session import Session, default_session, end_default_session

#: claims that run at the same time
AT_ONCE = 8
#: the modules whose import registers the claims
SUITES = (delivery, acceptance, answers, state, contract)


def prove(
    channel: str | type[Channel] | Channel,
    session: Session | None = None,
    *,
    about: str = "",
    patience: float = 10.0,
) -> Report:
    """Try to refute everything that a channel declares.

    channel   a title, a file (``path/to/mine.py``), a class or a value
    session   where it runs; the default session if None
    about     only claims about guarantees that start so ("tell", "share.reads"); all if empty
    patience  s that something which must come is waited for; only a channel that fails takes that long

    Raises `BadArgument` for an unknown channel or guarantee, `ServerUnavailable` when its server cannot be had.
    """
    from sandbox.catalogue import find

    found = find(channel)
    claims = [claim for claim in CLAIMS if claim.guarantee.startswith(about)]
    if not claims:
        known = ", ".join(sorted({claim.guarantee for claim in CLAIMS}))
        raise BadArgument("about", expected=f"the beginning of one of {known}", got=about)
    own = session is None
    session = session or default_session()
    for medium in found.needs:
        session.server(medium)  # started once, before many ask for it at the same time
    assert session.folder.is_dir()
    doomed = DoomedServers()
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="claim")
    try:
        # those that kill servers take turns, so they begin first
        first = sorted(claims, key=lambda claim: claim.attempt is not acceptance.survives_the_server)
        results = {claim: pool.submit(claim.examine, found, session, patience, doomed) for claim in first}
        return Report(found.title(), tuple(results[claim].result() for claim in claims))
    except KeyboardInterrupt:
        if own:
            end_default_session()  # every process that a claim waits for dies, so the claims end
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        doomed.close()


def variants(channel: Channel) -> list[Channel]:
    """The channel, and one more for each other value of a knob that is a `bool` or a `Literal`."""
    found = [channel]
    if not dataclasses.is_dataclass(channel):
        return found
    hints = get_type_hints(type(channel))
    for field in dataclasses.fields(channel):
        kind, value = hints[field.name], getattr(channel, field.name)
        choices = get_args(kind) if get_origin(kind) is Literal else (True, False) if kind is bool else ()
        found += [dataclasses.replace(channel, **{field.name: other}) for other in choices if other != value]
    return found
