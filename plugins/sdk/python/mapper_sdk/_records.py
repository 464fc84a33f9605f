"""The input record and the outputs of a mapper."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final


class _Keep:
    """The type of `KEEP`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()
"""The value that the input record has."""

Header = tuple[str, bytes | None]
"""A header of a record: its name and its value. A value of `None` is Kafka's null. In the place of bytes of a name that
are not UTF-8 there is U+FFFD. A name may occur more than once, and the order of the headers counts."""


class Rejected(Exception):
    """The mapper refuses the record: the host sends it to the dead letters with this message, without a traceback.

    In `configure`, the mapper refuses its settings: the host does not start and prints the message.
    """

    def __init__(self, message: object) -> None:
        super().__init__(str(message))


class Record:
    """A record of the input topic. A unit test may construct one."""

    __slots__ = ("value", "key", "headers", "timestamp_ms", "topic", "partition", "offset")

    value: bytes | None
    """`None` is Kafka's null, a tombstone. It differs from `b""`. https://kafka.apache.org/documentation/#compaction"""
    key: bytes | None
    """`None` is Kafka's null. It differs from `b""`."""
    headers: Sequence[Header]
    """In the order in which the producer wrote them."""
    timestamp_ms: int | None
    """Milliseconds since 1970-01-01T00:00:00Z. `None` if the record has no timestamp."""
    topic: str
    """The topic that the host read the record from."""
    partition: int
    """The partition that the host read the record from, 0 to 2**31 - 1."""
    offset: int
    """The offset in this partition, 0 to 2**63 - 1."""

    def __init__(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
        timestamp_ms: int | None = None,
        topic: str = "test",
        partition: int = 0,
        offset: int = 0,
    ) -> None:
        self.value = value
        self.key = key
        self.headers = headers
        self.timestamp_ms = timestamp_ms
        self.topic = topic
        self.partition = partition
        self.offset = offset

    def json(self) -> Any:
        """Returns the value, decoded as JSON by Python's module `json`: UTF-8, UTF-16 or UTF-32.

        Raises:
            Rejected: The record has no value, or it is not JSON. The message is that of the module `json`.
        """
        if self.value is None:
            raise Rejected("the record has no value (a tombstone)")
        try:
            # `json.loads` does the same, after a search for the encoding and for white space. It decides where this fails.
            text = self.value.decode()
            document, end = scan_json(text, 0)
            if end == len(text):
                return document
        except (ValueError, StopIteration):
            pass
        try:
            return json.loads(self.value)
        except ValueError as error:
            raise Rejected(error) from None

    def header(self, name: str) -> bytes | None:
        """Returns the value of the last header with this name, as `Headers.lastHeader` of Kafka's Java client does.

        `None` stands for no such header and for Kafka's null; `headers` tells one from the other.
        """
        return next((value for known, value in reversed(self.headers) if known == name), None)

    def __repr__(self) -> str:
        return f"Record({self.value!r}, key={self.key!r}, {self.topic}/{self.partition}@{self.offset})"


class Output:
    """A record to produce. A part that is not set is that of the input record. Outputs with equal parts are equal."""

    __slots__ = ("value", "key", "headers", "topic", "timestamp_ms")

    def __init__(
        self,
        value: bytes | str | None | _Keep = KEEP,
        *,
        json: Any = KEEP,
        key: bytes | str | None | _Keep = KEEP,
        headers: Sequence[tuple[str, bytes | str | None]] | _Keep = KEEP,
        topic: str | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Makes an output. A `str` is written as UTF-8.

        Args:
            value: `None` is Kafka's null, a tombstone.
            json: Written as JSON in the place of `value`, by Python's module `json`.
            key: `None` is Kafka's null.
            headers: Pairs of name and value, which replace all headers of the input record. `None` is Kafka's null.
            topic: One that the host was started with (`--output-topic`, `--extra-topic`). Any other fails the record
                with `invalid-output`. `None` is the default output topic.
            timestamp_ms: Milliseconds since 1970-01-01T00:00:00Z. `None` is the timestamp of the input record.

        Raises:
            TypeError: There are both `value` and `json`, or `json` has no JSON form.
            ValueError: `timestamp_ms` is negative: Kafka has no such timestamps.
        """
        if json is not KEEP:
            if value is not KEEP:
                raise TypeError("an output has a value or json, not both")
            value = dumps(json)
        elif isinstance(value, str):
            value = value.encode()
        if timestamp_ms is not None and timestamp_ms < 0:
            raise ValueError(f"timestamp_ms is {timestamp_ms}, but it may not be negative")
        self.value = value
        self.key = key.encode() if isinstance(key, str) else key
        self.headers = headers
        self.topic = topic
        self.timestamp_ms = timestamp_ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self) -> str:
        own = (f"{name}={getattr(self, name)!r}" for name in self.__slots__ if getattr(self, name) not in (KEEP, None))
        return f"Output({', '.join(own)})"


scan_json = json.JSONDecoder().scan_once


def json_writer() -> Callable[[Any], bytes]:
    """Returns the function that writes a value as JSON.

    `json.dumps` makes the same encoder of CPython in each call, which takes longer than to write a small value. Without that encoder,
    as in PyPy, the function is `JSONEncoder.encode`.
    """
    encoder = json.JSONEncoder()
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value: encoder.encode(value).encode()
    # The containers around the current value, by their ids, to find a container that contains itself.
    containers: dict[int, Any] = {}
    encode_text = json.encoder.encode_basestring_ascii
    separators = encoder.key_separator, encoder.item_separator
    encode = make(containers, encoder.default, encode_text, None, *separators, False, False, True)

    def dumps(value: Any) -> bytes:
        try:
            return "".join(encode(value, 0)).encode()
        except BaseException:
            # The encoder leaves the containers of a value that has no JSON form.
            containers.clear()
            raise

    return dumps


dumps = json_writer()
