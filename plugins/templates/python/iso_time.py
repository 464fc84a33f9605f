"""Times in ISO 8601."""

from datetime import UTC, datetime


def epoch_seconds(text: object) -> int:
    """The seconds since 1970 of a time; one without an offset is UTC. Raises `ValueError` when it is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"not a time in ISO 8601: {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
