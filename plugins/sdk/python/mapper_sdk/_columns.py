"""Reads records from the columns of a batch and writes outputs to columns. wit/mapper.wit has the rules."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, count, pairwise, repeat
from typing import Any

from mapper_sdk._records import KEEP, Header, Output, dumps
from wit_world.exports.batch_mapper import (
    Batch,
    Column,
    HeaderTable,
    OutputHeaders,
    Outputs,
    OutputTopics,
    Verdicts,
)

NULL_MARK = 1
KEEP_MARK = 2
NO_TIMESTAMP = -1
KEEP_TIMESTAMP = -1


def records(batch: Batch) -> Iterator[tuple[int, bytes | None, bytes | None, Sequence[Header], int | None, int, int]]:
    """Returns the parts of each record, in the order of the records: its index, and the arguments of `Record` without the topic."""
    headers = headers_of(batch.headers) if batch.headers else repeat(())
    timestamps = batch.timestamps_ms
    if NO_TIMESTAMP in timestamps:
        timestamps = [None if timestamp == NO_TIMESTAMP else timestamp for timestamp in timestamps]
    return zip(count(), items(batch.values), items(batch.keys), headers, timestamps, batch.partitions, batch.offsets)


def items(column: Column) -> list[bytes | None]:
    """Returns the items of a column, in their order."""
    content = column.bytes
    ranges = pairwise([0, *column.ends])
    if not column.marks:
        return [content[start:end] for start, end in ranges]
    return [None if mark == NULL_MARK else content[start:end] for (start, end), mark in zip(ranges, column.marks)]


def headers_of(table: HeaderTable) -> Iterator[list[Header]]:
    """Yields the headers of each record, in the order of the records."""
    names = [(name or b"").decode() for name in items(table.names)]
    headers = list(zip(names, items(table.values)))
    for start, end in pairwise([0, *table.ends]):
        yield headers[start:end]


class OutputColumns:
    """The verdicts on a batch under construction."""

    __slots__ = ("statuses", "output_ends", "errors", "values", "special")

    def __init__(self) -> None:
        self.statuses = bytearray()
        self.output_ends: list[int] = []
        self.errors: list[bytes] = []
        self.values: list[bytes] = []
        # Outputs with more parts than a value, by their index. Without any, the values are the only column.
        self.special: dict[int, Output] = {}

    def map(self, result: Any) -> None:
        """Adds the outputs that `process` returned for a record. Raises TypeError, and adds none, if a type is wrong."""
        kind = type(result)
        if kind is dict:
            self.values.append(dumps(result))
        elif kind is bytes:
            self.values.append(result)
        elif kind is Output and is_value_only(result):
            self.values.append(result.value)
        elif result is not None:
            # Check all outputs before the first one is added.
            for output in [*outputs_of(result)]:
                self.add(output)
        self.statuses.append(0)
        self.output_ends.append(len(self.values))

    def reject(self, message: str) -> None:
        """Adds the error of a record."""
        self.errors.append(message.encode("utf-8", "backslashreplace"))
        self.statuses.append(1)
        self.output_ends.append(len(self.values))

    def add(self, output: Output | bytes) -> None:
        if isinstance(output, Output):
            self.special[len(self.values)] = output
            output = output.value if isinstance(output.value, bytes) else b""
        self.values.append(output)

    def finish(self) -> Verdicts:
        """Returns the columns of the batch."""
        values = column(self.values)
        outputs = Outputs(values, None, None, None, None)
        if self.special:
            all_keep = Output()
            own = [self.special.get(index, all_keep) for index in range(len(self.values))]
            marks = bytes(mark(output.value) if index in self.special else 0 for index, output in enumerate(own))
            outputs = Outputs(
                Column(values.bytes, values.ends, marks), keys(own), topics(own), headers(own), timestamps_ms(own)
            )
        return Verdicts(bytes(self.statuses), self.output_ends, column(self.errors), outputs)


def is_value_only(output: Output) -> bool:
    """Returns whether all but the value, which is bytes, is that of the input record."""
    return (
        type(output.value) is bytes
        and output.key is KEEP
        and output.headers is KEEP
        and output.topic is None
        and output.timestamp_ms is None
    )


def outputs_of(result: Any) -> Iterator[Output | bytes]:
    """Yields the outputs that `process` returned. An output without other parts than a value is `bytes`."""
    if isinstance(result, (Output, bytes)):
        yield checked(result)
    elif isinstance(result, str):
        yield result.encode()
    elif isinstance(result, bytearray):
        yield bytes(result)
    elif isinstance(result, dict):
        yield dumps(result)
    elif isinstance(result, Iterable):
        for item in result:
            yield from outputs_of(item)
    else:
        raise TypeError(
            f"process returned {type(result).__name__}; it may return Output, dict, str, bytes, a list of these, or None"
        )


def checked(output: Output | bytes) -> Output | bytes:
    """Returns the output if its parts have the types of the contract. A wrong type would be a trap."""
    if isinstance(output, bytes):
        return output
    for name, kinds in (("value", bytes), ("key", bytes)):
        content = getattr(output, name)
        if not (content is KEEP or content is None or isinstance(content, kinds)):
            raise TypeError(f"the {name} of an output is {type(content).__name__}; it may be bytes, str, None or KEEP")
    if output.headers is not KEEP:
        output.headers = [header(*item) for item in output.headers]
    if not (output.topic is None or isinstance(output.topic, str)):
        raise TypeError(f"the topic of an output is {type(output.topic).__name__}; it may be str or None")
    if not (output.timestamp_ms is None or isinstance(output.timestamp_ms, int)):
        raise TypeError(f"the timestamp_ms of an output is {type(output.timestamp_ms).__name__}; it may be int or None")
    return output


def header(name: str, value: bytes | str | None) -> Header:
    value = value.encode() if isinstance(value, str) else value
    if not (isinstance(name, str) and (value is None or isinstance(value, bytes))):
        raise TypeError(f"a header is {name!r}: {value!r}; it may be a str with bytes, str or None")
    return name, value


def mark(content: Any) -> int:
    return KEEP_MARK if content is KEEP else NULL_MARK if content is None else 0


def column(contents: list[bytes], marks: bytes = b"") -> Column:
    return Column(b"".join(contents), [*accumulate(map(len, contents))], marks)


def marked_column(contents: list[Any]) -> Column:
    """Returns a column of bytes, `None` and `KEEP`."""
    return column([item if isinstance(item, bytes) else b"" for item in contents], bytes(map(mark, contents)))


def keys(outputs: list[Output]) -> Column | None:
    own = [output.key for output in outputs]
    return None if all(key is KEEP for key in own) else marked_column(own)


def topics(outputs: list[Output]) -> OutputTopics | None:
    names = list(dict.fromkeys(output.topic for output in outputs if output.topic is not None))
    indexes: dict[str | None, int] = {name: index for index, name in enumerate(names, 1)}
    return OutputTopics(names, [indexes.get(output.topic, 0) for output in outputs]) if names else None


def headers(outputs: list[Output]) -> OutputHeaders | None:
    if all(output.headers is KEEP for output in outputs):
        return None
    own = [() if output.headers is KEEP else output.headers for output in outputs]
    every = [header for headers in own for header in headers]
    names = column([name.encode() for name, _ in every])
    values = marked_column([value for _, value in every])
    marks = bytes(KEEP_MARK if output.headers is KEEP else 0 for output in outputs)
    return OutputHeaders(marks, HeaderTable([*accumulate(map(len, own))], names, values))


def timestamps_ms(outputs: list[Output]) -> list[int] | None:
    own = [KEEP_TIMESTAMP if output.timestamp_ms is None else output.timestamp_ms for output in outputs]
    return None if all(timestamp == KEEP_TIMESTAMP for timestamp in own) else own
