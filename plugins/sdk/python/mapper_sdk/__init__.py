"""Write a mapper for mapper-host in Python: one function from a record to the records to produce.

    from mapper_sdk import Output, Record, Rejected

    def process(record: Record) -> Output:
        if record.value is None:
            raise Rejected("no value")
        return Output(record.value.upper())

`process` returns one of these:

- an `Output`, or as a short form for one a `dict` (written as JSON), `str` (written as UTF-8), `bytes` or `bytearray`;
- a list, generator or other iterable of these: the host produces the outputs in this order;
- `None` or an empty iterable: the host skips the record.

An output has the key, headers and timestamp of the input record unless it sets its own.

`raise Rejected(message)` sends the record to the dead letters with this message. Any other exception is an error in the
mapper: it sends the record to the dead letters with its type, its message and its traceback. The mapper goes on in both
cases.

A mapper with settings (`--set KEY=VALUE`) has a second function. The host calls it once per instance, before the first
record. If it raises an exception, the host does not start and prints the message:

    def configure(settings: Settings) -> None:
        settings.only("page")
        global page
        page = settings.required("page")

A mapper without this function refuses every setting.

`print` (level info), `sys.stderr` (level warn) and `logging` write lines to the log of the host, with the topic,
partition and offset of the current record. The host cuts a line after 8 KiB (`wit/mapper.wit`).
"""

from mapper_sdk._records import KEEP, Header, Output, Record, Rejected
from mapper_sdk._settings import Settings

__all__ = ["KEEP", "Header", "Output", "Record", "Rejected", "Settings"]
