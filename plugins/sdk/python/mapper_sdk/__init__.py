"""Write a mapper for mapper-host in Python: one function from record to result.

    from mapper_sdk import Output, Record, Rejected

    def process(record: Record):
        if record.value is None:
            raise Rejected("no value")
        return Output(record.value.upper())

What `process` returns is produced: an `Output`, or short for one a `dict` (as JSON), `str` or `bytes`, or a list or generator of
these. `None` or nothing skips the record. An output keeps the key, headers and timestamp of its input unless it sets its own.

`raise Rejected(message)` sends the record to the dead letters with that message. Any other exception does so too, with its
type, its message and its traceback: it is a mistake, so it says where. The mapper lives on.

A mapper with settings (`--set KEY=VALUE`) has a second function, which is called once before the first record:

    def configure(settings: Settings):
        settings.only("page")
        global page
        page = settings.required("page")

`print`, `sys.stderr` and `logging` write to the host's log, with topic, partition and offset of the record.
"""

from mapper_sdk._records import KEEP, Header, Output, Record, Rejected
from mapper_sdk._settings import Settings

__all__ = ["KEEP", "Header", "Output", "Record", "Rejected", "Settings"]
