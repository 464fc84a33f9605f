"""A guest that does what its records say, as ../commands.rs does."""

import logging
import sys

from mapper_sdk import Output, Record, Rejected, Settings


def configure(settings: Settings) -> None:
    settings.only("greeting")
    if settings.get("greeting") == "":
        raise Rejected("an empty greeting")


def process(record: Record):
    if record.value is None:
        raise Rejected("no value")
    try:
        command = record.value.decode()
    except UnicodeDecodeError:
        raise Rejected("not UTF-8") from None
    word, _, rest = command.partition(" ")
    match word:
        case "skip":
            return None
        case "keep":
            return Output()
        case "value":
            return rest
        case "tombstone":
            return Output(None)
        case "key":
            return Output(key=rest)
        case "null-key":
            return Output(key=None)
        case "topic":
            return Output(topic=rest)
        case "time":
            return Output(timestamp_ms=int(rest))
        case "headers":
            return Output(headers=[("a", b"1"), ("a", None), ("", b"\xff")])
        case "no-headers":
            return Output(headers=[])
        case "three":
            return three()
        case "see":
            return see(record)
        case "reject":
            raise Rejected(rest)
        case "panic":
            raise RuntimeError(rest)
        case "spin":
            while True:
                pass
        case "recurse":
            return str(recurse(0))
        case "allocate":
            hoard = []
            while True:
                hoard.append(b"\1" * (1 << 20))
        case "exit":
            sys.exit(3)
        case "print":
            print(rest)
            return Output()
        case "log":
            logging.info(rest)
            return Output()
        case _:
            raise Rejected(f"unknown command {word}")


def three():
    yield "one"
    yield Output(key="k", timestamp_ms=7, headers=[])
    yield Output(topic="other")


def see(record: Record) -> str:
    def text(content: bytes | None) -> str:
        return "null" if content is None else content.hex()

    timestamp = "none" if record.timestamp_ms is None else record.timestamp_ms
    headers = "".join(f" {name}={text(value)}" for name, value in record.headers)
    where = f"{record.topic}/{record.partition}@{record.offset}"
    return f"{where} {timestamp} {text(record.key)} {text(record.value)}{headers}"


def recurse(depth: int) -> int:
    return recurse(depth + 1) + 1
