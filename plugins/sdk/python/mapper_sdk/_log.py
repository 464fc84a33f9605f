"""Writes the output of a mapper to the log of the host, each line with the current record."""

import io
import logging
import sys

from wit_world.imports import progress
from wit_world.imports.logging import Level
from wit_world.imports.logging import log as host_log


class Position:
    """The index of the current record. The host gets it as rarely as it allows, and before each line of the log."""

    __slots__ = ("current", "due")

    def __init__(self) -> None:
        self.current: int | None = None
        self.due = 0

    def begin_batch(self) -> None:
        """A batch begins: the host wants a report at its first record."""
        self.due = 0

    def report(self) -> None:
        """Reports the current record to the host, which answers at which record it wants the next report."""
        if self.current is not None:
            self.due = progress.at(self.current)

    def end_batch(self) -> None:
        """The batch is complete: no record is current."""
        self.current = None


position = Position()


def log(level: Level, line: str) -> None:
    """Writes a line, after a report of the current record. A backslash escape replaces an unpaired surrogate."""
    position.report()
    host_log(level, line.encode(errors="backslashreplace").decode())


class Lines(io.TextIOBase):
    """A stdout or stderr that writes lines to the log of the host."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            log(self.level, line)
        return len(text)

    def end_record(self) -> None:
        """Writes the last line of a record, which may have no line feed."""
        line, self.rest = self.rest, ""
        log(self.level, line)


class Handler(logging.Handler):
    """Writes the records of Python's module `logging`, with their levels."""

    def emit(self, record: logging.LogRecord) -> None:
        levels = ((40, Level.ERROR), (30, Level.WARN), (20, Level.INFO), (10, Level.DEBUG))
        level = next((level for number, level in levels if record.levelno >= number), Level.TRACE)
        for line in self.format(record).split("\n"):
            log(level, line)


stdout = Lines(Level.INFO)
stderr = Lines(Level.WARN)


def install() -> None:
    """Replaces stdout and stderr, and adds a handler to `logging`."""
    sys.stdout, sys.stderr = stdout, stderr
    root = logging.getLogger()
    root.addHandler(Handler())
    # WARNING is Python's default. The host has a level of its own (`--log-level`).
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)
