"""The knobs of a workload and of a channel, as options of the command line."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.errors import BadArgument
from sandbox.harness.workload import OPENSTACK, Workload


def add_knobs(parser: argparse.ArgumentParser, without: Sequence[str] = ()) -> None:
    """An option for each knob of `Workload`, but for some."""
    group = parser.add_argument_group("the workload (times in s, rates in operations/s, sizes in bytes)")
    texts = knob_texts()
    for knob in dataclasses.fields(Workload):
        if knob.name in without:
            continue
        flag = "--" + knob.name.replace("_", "-")
        shown = "" if knob.name in ("verb",) else f" [{knob.default}]"
        text = (texts.get(knob.name, "") + shown).strip().replace("%", "%%")
        many = {"nargs": "+"} if knob.name == "groups" else {}
        group.add_argument(flag, dest=knob.name, type=_reader(knob.name), help=text, metavar="X", **many)  # type: ignore[arg-type]


def knob_texts() -> dict[str, str]:
    """Knob -> its line in the docstring of `Workload`, so that there is one text for both faces."""
    texts: dict[str, str] = {}
    folded = re.sub(r"\n {8,}", " ", Workload.__doc__ or "")
    for names, text in re.findall(r"^    ([a-z_, ]+?)  +(.+)$", folded, re.MULTILINE):
        texts |= dict.fromkeys(re.split(r", *", names.strip()), text.replace("`", ""))
    return texts


def _reader(name: str) -> Callable[[str], Any]:
    default = {field.name: field.default for field in dataclasses.fields(Workload)}[name]
    if name == "size":
        return lambda text: text if text == OPENSTACK else int(text)
    if name == "verb":
        return _read_mix
    return type(default) if isinstance(default, int | float) else str


def _read_mix(text: str) -> str | dict[str, float]:
    """``ask``, or a mix: ``tell=8,ask=2``."""
    if "=" not in text:
        return text
    return {name: float(weight) for name, weight in (part.split("=", 1) for part in text.split(","))}


def changes(options: argparse.Namespace) -> dict[str, Any]:
    """The knobs of the workload that were given."""
    names = [field.name for field in dataclasses.fields(Workload)]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def channel_knobs(texts: Sequence[str]) -> dict[str, Any]:
    """``["flush=true", "lease=2"]`` -> the knobs of a channel; `BadArgument` for anything else."""
    knobs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadArgument("-k", expected="NAME=VALUE, such as flush=true", got=text)
        knobs[name] = _value(value)
    return knobs


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
