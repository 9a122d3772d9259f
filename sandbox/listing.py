"""What channels there are and what each promises, as a table."""

from __future__ import annotations

import html
from dataclasses import dataclass

from sandbox.catalogue import catalogue
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Ask, Guarantees, Support, Tell
from sandbox.harness.words import html_table, text_table

COLUMNS = ("style", "channel", "tell", "ask", "share")


@dataclass(frozen=True)
class Listing:
    """Rows of `COLUMNS`, and channel -> the first paragraph of its text."""

    rows: tuple[tuple[str, ...], ...]
    texts: dict[str, str]

    def __str__(self) -> str:
        blocks = []
        for style, title, *promises in self.rows:
            lines = [f"{title}  ({style}): {self.texts[title]}"]
            lines += [f"    {verb:5}  {promise}" for verb, promise in zip(COLUMNS[2:], promises, strict=True)]
            blocks.append("\n".join(lines))
        return "\n\n".join(
            [*blocks, "Every promise is proved by the conformance suite; docs/guarantees.md explains the words."]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        texts = "".join(f"<li><b>{html.escape(t)}</b>: {html.escape(text)}</li>" for t, text in self.texts.items())
        return html_table(COLUMNS, self.rows) + f"<ul>{texts}</ul>"

    def table(self) -> str:
        """The bare table as text."""
        return text_table(COLUMNS, self.rows)


def listing() -> Listing:
    """Every channel of the package with its knobs as they come."""
    rows, texts = [], {}
    for title, kind in catalogue().items():
        promises = kind().guarantees
        rows.append((kind.style, title, *(promise(promises, verb) for verb in Verb)))
        texts[title] = (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    return Listing(tuple(rows), texts)


def promise(guarantees: Guarantees, verb: Verb) -> str:
    """The promises for one verb in one line."""
    found = guarantees.of(verb)
    if found.support is Support.ABSENT:
        return "absent"
    words = [str(found.support)]
    if isinstance(found, Tell | Ask):
        words.append(str(found.delivery))
        words.append("receiver may be away" if found.receiver_may_be_away else "receiver must be up")
    else:
        words.append(f"reads {found.reads}")
        words.append("owner must be up" if found.needs_owner else "no owner")
    words.insert(-1, f"accepted by {found.accepted_by}")
    if isinstance(found, Tell):
        words.append(f"order {found.order}")
        words.append(f"one to many {found.one_to_many}")
    return ", ".join(words)
