"""Message classes that the other side cannot import are made again there, with all that they check and can do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta, Struct

from sandbox.exchange.schema import EXCHANGE, ImageDownloaded, Whole
from sandbox.harness.by_value import dumps


def again(value: object) -> object:
    return pickle.loads(dumps(value))


def written() -> type[Struct]:
    """A class as a student writes it in a cell."""

    class Resized(Struct, frozen=True, forbid_unknown_fields=True, tag="resized"):
        """How much it is now."""

        image: Whole
        size: Annotated[int, Meta(gt=3)]
        note: Annotated[str, Meta(max_length=3)] = "-"
        tags: list[str] = msgspec.field(default_factory=list)
        length: int | None = msgspec.field(default=None, name="len")

        def doubled(self) -> Resized:
            return Resized(self.image, 2 * self.size)

        @property
        def big(self) -> bool:
            return self.size > 100

    return Resized


def test_a_struct_class_comes_back_with_its_fields_defaults_and_settings() -> None:
    made = again(written())
    assert isinstance(made, type)
    assert made is not written()
    one = msgspec.json.decode(b'{"type":"resized","image":1,"size":60,"len":5}', type=made)
    assert msgspec.to_builtins(one) == {"type": "resized", "image": 1, "size": 60, "note": "-", "tags": [], "len": 5}
    assert (made.__doc__, made.__struct_config__.frozen) == ("How much it is now.", True)  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [b'{"image":-1,"size":9}', b'{"image":1,"size":3}', b'{"image":1,"size":9,"more":1}'])
def test_it_still_refuses_what_it_refused(data: bytes) -> None:
    made = again(written())
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=made)


def test_its_methods_come_with_it_even_when_they_mention_the_class() -> None:
    made = again(written())
    double = made(1, 60).doubled()  # type: ignore[operator]
    assert (type(double), double.size, double.big) == (made, 120, True)


def test_a_class_that_inherits_has_what_it_inherits_and_what_it_changes() -> None:
    class Tolerant(ImageDownloaded, frozen=True, forbid_unknown_fields=False):
        metadata: str = "none"

    made = again(Tolerant)
    one = msgspec.json.decode(b'{"image":1,"project":2,"bytes_sent":3,"more":4}', type=made)
    assert isinstance(one, ImageDownloaded)
    assert (one.bytes_sent, one.metadata) == (3, "none")


def test_classes_that_both_sides_can_import_are_named_and_not_copied() -> None:
    assert again(ImageDownloaded) is ImageDownloaded
    assert b"bytes_sent" not in dumps(EXCHANGE.messages["image_downloaded"])


def test_one_class_stays_one_class_within_what_is_sent() -> None:
    kind = written()
    first, second = again((kind, {"body": kind}))  # type: ignore[misc]
    assert second["body"] is first


def test_a_class_from_a_file_arrives_where_the_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "my_messages.py").write_text(
        "from msgspec import Struct\nfrom sandbox.exchange.schema import Whole\n\n\n"
        "class Mine(Struct, frozen=True):\n    size: Whole\n"
    )
    send = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport cloudpickle, my_messages\n"
        "from sandbox.harness.by_value import dumps\ncloudpickle.register_pickle_by_value(my_messages)\n"
        "sys.stdout.buffer.write(dumps(my_messages.Mine))"
    )
    sent = subprocess.run([sys.executable, "-c", send, str(tmp_path)], capture_output=True, check=True).stdout
    made = pickle.loads(sent)
    assert (made.__name__, made.__module__, made(5).size) == ("Mine", "my_messages", 5)
