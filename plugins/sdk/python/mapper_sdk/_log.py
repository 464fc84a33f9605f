"""What a mapper writes becomes lines of the host's log, each with the record it is about."""

import io
import logging
import sys

from wit_world.imports import progress
from wit_world.imports.logging import Level
from wit_world.imports.logging import log as host_log


class Position:
    """Where in the batch the mapper is. The host is told only as often as it asks to be, or before a line is written."""

    __slots__ = ("current", "due")

    def __init__(self) -> None:
        self.current: int | None = None
        self.due = 0

    def begin(self) -> None:
        """A batch begins."""
        self.due = 0

    def tell(self) -> None:
        """Tells the host."""
        if self.current is not None:
            self.due = progress.at(self.current)

    def end(self) -> None:
        """The batch is done."""
        self.current = None


position = Position()


def log(level: Level, line: str) -> None:
    """Writes a line, once the host knows which record it is about."""
    position.tell()
    host_log(level, line.encode(errors="backslashreplace").decode())


class Lines(io.TextIOBase):
    """A stdout or stderr whose lines go to the host's log."""

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
        """A line that was not ended belongs to its record all the same."""
        line, self.rest = self.rest, ""
        log(self.level, line)


class Handler(logging.Handler):
    """Python's own logging, with its levels."""

    def emit(self, record: logging.LogRecord) -> None:
        levels = ((40, Level.ERROR), (30, Level.WARN), (20, Level.INFO), (10, Level.DEBUG))
        level = next((level for number, level in levels if record.levelno >= number), Level.TRACE)
        for line in self.format(record).split("\n"):
            log(level, line)


stdout = Lines(Level.INFO)
stderr = Lines(Level.WARN)


def install() -> None:
    """Takes the place of stdout, stderr and the handlers of `logging`."""
    sys.stdout, sys.stderr = stdout, stderr
    root = logging.getLogger()
    root.addHandler(Handler())
    # Python's default; what is left out beyond it is the host's to say (`--log-level`).
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)
