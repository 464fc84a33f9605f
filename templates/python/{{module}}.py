"""Reduces a visit to its id, its time in epoch seconds and its page."""

import json
from datetime import UTC, datetime
from typing import Any

from mapper_sdk import Record, Rejected


def process(record: Record) -> dict[str, Any] | None:
    """Called for each record; what it returns is written to the output topic, under the key of the record."""
    # A tombstone, a record without a value, is skipped.
    if record.value is None:
        return None
    try:
        return reduce(json.loads(record.value))
    except ValueError as error:
        raise Rejected(f"not a visit: {error}") from None


def reduce(visit: dict[str, Any]) -> dict[str, Any]:
    """What is left of a visit."""
    if not isinstance(visit, dict):
        raise ValueError("not a JSON object")
    if visit.get("event_time") is None:
        raise Rejected("the visit has no event_time")
    return {
        "visit_id": visit.get("visit_id"),
        "event_time": epoch_seconds(visit["event_time"]),
        "page": visit.get("page"),
    }


def epoch_seconds(time: str) -> int:
    """The seconds since 1970 of a time in ISO 8601; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        raise Rejected(f"event_time is not a time in ISO 8601: {time!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
