"""Reduces a visit to its id, its time in epoch seconds and its page: the reference job's mapper, in the words it had there."""

import json
from datetime import datetime

from mapper_sdk import Output, Record, Rejected


def reduce(value: bytes) -> dict[str, object]:
    """A visit, reduced. Raises `ValueError`, `TypeError` or `KeyError` when it is none."""
    visit = json.loads(value)
    return {
        "visit_id": visit["visit_id"],
        "event_time": int(datetime.fromisoformat(visit["event_time"]).timestamp()),
        "page": visit["page"],
    }


def process(record: Record) -> Output:
    """The reduced visit under the same key; a record that is no visit is rejected with what Python says of it."""
    if record.value is None:
        raise Rejected("the record has no value (a tombstone)")
    try:
        return Output(json=reduce(record.value))
    except (ValueError, TypeError, KeyError) as error:
        raise Rejected(error) from None
