"""Passes each record on as it is."""

from mapper_sdk import Output, Record


def process(record: Record) -> Output:
    """Called for each record; what it returns is written to the output topic. `raise Rejected(…)` makes a dead letter."""
    return Output()
