"""The exports of the batch world, over the author's module."""

import random
import re
import traceback
from types import ModuleType

from componentize_py_types import Err
from mapper_sdk import _log
from mapper_sdk._columns import OutputColumns, records
from mapper_sdk._records import Rejected
from mapper_sdk._settings import Settings
from wit_world.exports.batch_mapper import Batch, Verdicts
from wit_world.exports.plugin import Info


def plugin(mapper: ModuleType, name: str, version: str) -> type:
    """The class that answers who the mapper is, and configures it."""

    class Plugin:
        def describe(self) -> Info:
            return Info(name, version)

        def configure(self, settings: list[tuple[str, str]]) -> None:
            _log.install()
            # The module seeded itself when the plugin was built, which would give every instance the same numbers.
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
    """The class that maps batches."""
    process = mapper.process

    class BatchMapper:
        def process(self, batch: Batch) -> Verdicts:
            columns = OutputColumns()
            position, stdout, stderr = _log.position, _log.stdout, _log.stderr
            position.begin()
            for index, record in enumerate(records(batch)):
                position.current = index
                if index >= position.due:
                    position.tell()
                try:
                    columns.map(process(record))
                except Rejected as rejected:
                    columns.reject(str(rejected))
                except Exception as error:
                    columns.reject(with_traceback(error))
                if stdout.rest:
                    stdout.end_record()
                if stderr.rest:
                    stderr.end_record()
            position.end()
            return columns.finish()

    return BatchMapper


def with_traceback(error: Exception) -> str:
    """Type and message, and below them where it was raised, without the SDK's own frame."""
    inner = error.__traceback__ and error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error.with_traceback(inner)))
    # Where the modules lay when the plugin was built: a number for each folder.
    return f"{type(error).__name__}: {error}\n{re.sub('File "/[0-9]+/', 'File "', text).rstrip()}"
