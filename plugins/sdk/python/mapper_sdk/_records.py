"""What a mapper is given and what it returns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final


class _Keep:
    """The type of `KEEP`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()
"""As in the input record."""

Header = tuple[str, bytes | None]
"""A header: its name, and its value, where `None` is Kafka's null. Names may repeat, and their order counts."""


class Rejected(Exception):
    """Sends the record to the dead letters with this message; raised by `configure`, it refuses the settings."""

    def __init__(self, message: object) -> None:
        super().__init__(str(message))


class Record:
    """One record of the input topic."""

    __slots__ = ("value", "key", "headers", "timestamp_ms", "topic", "partition", "offset")

    value: bytes | None
    """`None` is Kafka's null, a tombstone, which is not the same as no bytes."""
    key: bytes | None
    """`None` is Kafka's null."""
    headers: Sequence[Header]
    """In the order in which the producer wrote them."""
    timestamp_ms: int | None
    """Milliseconds since 1970-01-01T00:00:00Z; `None` when the record carries none."""
    topic: str
    partition: int
    offset: int

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
        """The value as JSON. Raises `Rejected` when it is none, in the words of Python's `json`."""
        if self.value is None:
            raise Rejected("the record has no value (a tombstone)")
        try:
            return json.loads(self.value)
        except ValueError as error:
            raise Rejected(error) from None

    def header(self, name: str) -> bytes | None:
        """The value of the last header of that name, which is the one that counts where Kafka's clients ask for one."""
        return next((value for known, value in reversed(self.headers) if known == name), None)

    def __repr__(self) -> str:
        return f"Record({self.value!r}, key={self.key!r}, {self.topic}/{self.partition}@{self.offset})"


class Output:
    """One record to produce. What it doesn't set is as in the input record; a value or key of `None` is Kafka's null."""

    __slots__ = ("value", "key", "headers", "topic", "timestamp_ms")

    def __init__(
        self,
        value: bytes | str | None | _Keep = KEEP,
        *,
        json: Any = KEEP,
        key: bytes | str | None | _Keep = KEEP,
        headers: Sequence[Header] | _Keep = KEEP,
        topic: str | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """`json` is written as the value; `topic` is one that the host was started with; `timestamp_ms` counts from 1970."""
        if json is not KEEP:
            if value is not KEEP:
                raise TypeError("an output has a value or json, not both")
            value = dumps(json)
        if timestamp_ms is not None and timestamp_ms < 0:
            raise ValueError(f"timestamp_ms is {timestamp_ms}, but it may not be negative")
        self.value = value.encode() if isinstance(value, str) else value
        self.key = key.encode() if isinstance(key, str) else key
        self.headers = headers
        self.topic = topic
        self.timestamp_ms = timestamp_ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self) -> str:
        own = (f"{name}={getattr(self, name)!r}" for name in self.__slots__ if getattr(self, name) not in (KEEP, None))
        return f"Output({', '.join(own)})"


dumps = json.JSONEncoder().encode
