"""Exports of the world mapper-batch, for the module of the mapper."""

import random
import re
import traceback
from types import ModuleType

from componentize_py_types import Err
from mapper_sdk import _log
from mapper_sdk._columns import OutputColumns, records
from mapper_sdk._records import Record, Rejected
from mapper_sdk._settings import Settings
from wit_world.exports.batch_mapper import Batch, Verdicts
from wit_world.exports.plugin import Info


def plugin(mapper: ModuleType, name: str, version: str) -> type:
    """Returns the class that describes and configures the mapper."""

    class Plugin:
        def describe(self) -> Info:
            return Info(name, version)

        def configure(self, settings: list[tuple[str, str]]) -> None:
            _log.install()
            # The module `random` seeded itself when the plugin was built. Each instance needs a seed of its own.
            random.seed()
            configure = getattr(mapper, "configure", Settings.only)
            try:
                configure(Settings(settings))
            except Rejected as rejected:
                raise Err(str(rejected)) from None
            except Exception as error:
                raise Err(with_traceback(error)) from None

    return Plugin


def batch_mapper(mapper: ModuleType) -> type:
    """Returns the class that maps batches."""
    process = mapper.process

    class BatchMapper:
        def process(self, batch: Batch) -> Verdicts:
            columns = OutputColumns()
            position, stdout, stderr = _log.position, _log.stdout, _log.stderr
            position.begin_batch()
            topic = batch.topic
            for index, value, key, headers, timestamp_ms, partition, offset in records(batch):
                position.current = index
                if index >= position.due:
                    position.report()
                try:
                    columns.map(process(Record(value, key, headers, timestamp_ms, topic, partition, offset)))
                except Rejected as rejected:
                    columns.reject(str(rejected))
                except Exception as error:
                    columns.reject(with_traceback(error))
                if stdout.rest:
                    stdout.end_record()
                if stderr.rest:
                    stderr.end_record()
            position.end_batch()
            return columns.finish()

    return BatchMapper


def with_traceback(error: Exception) -> str:
    """Returns type and message, and the traceback below them, without the frame of the SDK."""
    inner = error.__traceback__ and error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error.with_traceback(inner)))
    # componentize-py puts the modules into folders whose names are numbers.
    text = re.sub('File "/[0-9]+/', 'File "', text).rstrip()
    return f"{type(error).__name__}: {error}\n{text}"
