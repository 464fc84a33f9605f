"""Reduces a visit to its id, its time in epoch seconds and its page: the reference job's mapper, in the words it had there."""

from datetime import datetime
from typing import Any

from mapper_sdk import Record, Rejected


def reduce(visit: Any) -> dict[str, object]:
    """A visit, reduced. Raises `ValueError`, `TypeError` or `KeyError` when it is none."""
    return {
        "visit_id": visit["visit_id"],
        "event_time": int(datetime.fromisoformat(visit["event_time"]).timestamp()),
        "page": visit["page"],
    }


def process(record: Record) -> dict[str, object]:
    """The reduced visit under the same key; a record that is no visit is rejected with what Python says of it."""
    try:
        return reduce(record.json())
    except (ValueError, TypeError, KeyError) as error:
        raise Rejected(error) from None
