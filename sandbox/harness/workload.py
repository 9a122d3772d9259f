"""What is offered to a channel: a workload, with every knob checked before anything starts."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Support

ARRIVALS = ("constant", "poisson", "bursty")
SERVICES = ("constant", "exponential")
OPENSTACK = "openstack"


@dataclass(frozen=True)
class Workload:
    """One workload. Times in seconds, rates in operations per second, sizes in bytes.

    verb        "tell", "ask", "share", or a mix by weight: {"tell": 8, "ask": 2} (tell=8,ask=2)
    operations  how many are offered and measured, over all senders
    rate        offered rate (open loop), over all senders
    arrivals    "constant", "poisson", or "bursty" (bursts at once, Poisson in between)
    burst       operations of one burst
    loop        "open": offered at intended times whatever happens; "closed": each sender keeps
                `in_flight` operations open and begins the next when one ends
    in_flight   operations that each sender keeps open in a closed loop
    size        encoded body in bytes: a number, or "openstack" for the sizes seen in production
    service     mean time that a receiver works on an operation
    service_shape   its distribution: "constant" or "exponential"
    senders     sending processes of tell and ask
    receivers   receiving processes of each group; they compete
    readers     reading processes of *share*; one more process writes
    groups      groups of listeners to what is told, each gets its own copy
    settle      "after" the work or "before" it
    batch       most deliveries that a receiver takes at once
    warmup      operations before the measured ones; counted in every account, left out of latencies
    timeout     patience after the last intended start before open operations count as censored
    writes      fraction of *share* operations that write
    projects    how many projects there are
    volumes     how many volumes have a shared state
    quota_gb    quota of each project
    seed        everything random in the plan comes from it
    """

    verb: str | Mapping[str, float] = "tell"
    operations: int = 500
    rate: float = 300.0
    arrivals: str = "constant"
    burst: int = 20
    loop: str = "open"
    in_flight: int = 1
    size: int | str = 1024
    service: float = 0.0
    service_shape: str = "constant"
    senders: int = 1
    receivers: int = 1
    readers: int = 1
    groups: tuple[str, ...] = ("metering",)
    settle: str = "after"
    batch: int = 1
    warmup: int = 50
    timeout: float = 5.0
    writes: float = 0.25
    projects: int = 8
    volumes: int = 16
    quota_gb: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.groups, str) or not isinstance(self.groups, Iterable):
            hint = f"One group is ({self.groups!r},)."
            raise BadArgument("groups", expected="several names, as a tuple or list", got=self.groups, hint=hint)
        object.__setattr__(self, "groups", tuple(self.groups))
        for name, low, high in _RANGES:
            value = _plain(getattr(self, name))
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise BadArgument(name, expected=f"a number from {low:g} to {high:g}", got=value)
            object.__setattr__(self, name, value)
        for name in _WHOLE:
            if not isinstance(getattr(self, name), int):
                raise BadArgument(name, expected="a whole number", got=getattr(self, name))
        _choice("arrivals", self.arrivals, ARRIVALS)
        _choice("loop", self.loop, ("open", "closed"))
        _choice("service_shape", self.service_shape, SERVICES)
        _choice("settle", self.settle, ("before", "after"))
        self._check_size()
        self._check_groups()
        if sum(self.weights.values()) <= 0:
            raise BadArgument("verb", expected="at least one weight above 0", got=self.verb)

    def _check_size(self) -> None:
        if self.size == OPENSTACK:
            return
        object.__setattr__(self, "size", _plain(self.size))
        if isinstance(self.size, bool) or not isinstance(self.size, int) or not 64 <= self.size <= 1 << 24:
            hint = "Below 64 bytes the fields themselves do not fit."
            raise BadArgument("size", expected=f'64 to {1 << 24} bytes, or "{OPENSTACK}"', got=self.size, hint=hint)

    def _check_groups(self) -> None:
        for group in self.groups:
            if not (isinstance(group, str) and group.isidentifier() and len(group) <= 32):
                raise BadArgument("groups", expected="names of letters, digits and underscores", got=group)
            if group in ("volumes", "states"):
                raise BadArgument("groups", expected="names other than those of the service itself", got=group)
        if not self.groups or len(set(self.groups)) != len(self.groups):
            raise BadArgument("groups", expected="at least one, all different", got=self.groups)

    @property
    def weights(self) -> dict[Verb, float]:
        """Verb -> weight in the mix."""
        if not isinstance(self.verb, str | Mapping):
            raise BadArgument("verb", expected='a verb, or a mix like {"tell": 8, "ask": 2}', got=self.verb)
        mix = {self.verb: 1.0} if isinstance(self.verb, str) else dict(self.verb)
        for name, weight in mix.items():
            _choice("verb", name, tuple(str(verb) for verb in Verb))
            if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise BadArgument(f"weight of {name}", expected="a number, 0 or more", got=weight)
        return {Verb(name): float(weight) for name, weight in mix.items() if weight > 0}

    @property
    def seconds(self) -> float:
        """How long the load lasts in open loop, warm-up not counted."""
        return self.operations / self.rate

    def but(self, **changes: Any) -> Workload:
        """The same workload with some knobs changed; an unknown knob suggests the nearest."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            _choice("knob", name, tuple(known))
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """All knobs, ready for JSON."""
        knobs = dataclasses.asdict(self)
        knobs["groups"] = list(self.groups)
        return knobs

    @classmethod
    def from_dict(cls, knobs: Mapping[str, Any]) -> Workload:
        """The workload that `to_dict` was called on."""
        for name in knobs:
            _choice("knob", name, tuple(field.name for field in dataclasses.fields(cls)))
        return cls(**knobs)


def check_offered(channel: Channel, workload: Workload) -> None:
    """Raise `BadArgument` for a verb that the channel does not offer."""
    able = [str(verb) for verb in Verb if channel.guarantees.of(verb).support is not Support.ABSENT]
    for verb in workload.weights:
        if verb not in able:
            raise BadArgument("verb", expected=f"one that {channel.title()} offers ({', '.join(able)})", got=str(verb))


_RANGES = (
    ("operations", 1, 1_000_000),
    ("rate", 0.1, 100_000),
    ("burst", 1, 10_000),
    ("in_flight", 1, 10_000),
    ("service", 0, 10),
    ("senders", 1, 64),
    ("receivers", 1, 64),
    ("readers", 1, 64),
    ("batch", 1, 1000),
    ("warmup", 0, 100_000),
    ("timeout", 0.01, 600),
    ("writes", 0, 1),
    ("projects", 1, 1000),
    ("volumes", 1, 100_000),
    ("quota_gb", 0, 10**9),
    ("seed", 0, 2**63 - 1),
)
_WHOLE = (
    *("operations", "burst", "in_flight", "senders", "receivers", "readers", "batch", "warmup"),
    *("projects", "volumes", "quota_gb", "seed"),
)


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's own: knobs come from `np.linspace` too, and go into JSON."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _choice(what: str, got: Any, known: tuple[str, ...]) -> None:
    if got not in known:
        near = difflib.get_close_matches(str(got), known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        raise BadArgument(what, expected="one of " + ", ".join(known), got=got, hint=hint)
