"""Reduces a visit to its id, its time in epoch seconds and its page."""

import json
from typing import Any

from iso_time import epoch_seconds
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
    try:
        seconds = epoch_seconds(visit["event_time"])
    except ValueError as error:
        raise Rejected(f"event_time is {error}") from None
    return {"visit_id": visit.get("visit_id"), "event_time": seconds, "page": visit.get("page")}
