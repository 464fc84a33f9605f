// A guest that does what its records say, as ../commands.rs does.

import { Output, Rejected } from "mapper-sdk";

export function configure(settings) {
  settings.only("greeting");
  if (settings.get("greeting") === "") throw new Rejected("an empty greeting");
}

export function process(record) {
  if (record.value === null) throw new Rejected("no value");
  let command;
  try {
    command = new TextDecoder("utf-8", { fatal: true }).decode(record.value);
  } catch {
    throw new Rejected("not UTF-8");
  }
  if (command !== record.text()) throw new Error("two texts of one value");
  const [, word, rest = ""] = /^(\S*) ?(.*)$/s.exec(command);
  switch (word) {
    case "skip":
      return null;
    case "keep":
      return new Output();
    case "value":
      return rest;
    case "tombstone":
      return new Output({ value: null });
    case "key":
      return new Output({ key: rest });
    case "null-key":
      return new Output({ key: null });
    case "topic":
      return new Output({ topic: rest });
    case "time":
      return new Output({ timestampMs: Number(rest) });
    case "headers": {
      const headers = [
        { name: "a", value: "1" },
        { name: "a", value: null },
        { name: "", value: Uint8Array.of(255) },
      ];
      return new Output({ headers });
    }
    case "no-headers":
      return new Output({ headers: [] });
    case "three":
      return three();
    case "see":
      return see(record);
    case "reject":
      throw new Rejected(rest);
    case "panic":
      throw new RangeError(rest);
    case "spin":
      for (;;);
    case "recurse":
      return String(recurse(0));
    case "allocate":
      for (const hoard = []; ; ) hoard.push(new Uint8Array(1 << 20).fill(1));
    case "print":
      console.log(rest);
      return new Output();
    case "log":
      console.info(rest);
      return new Output();
    default:
      throw new Rejected(`unknown command ${word}`);
  }
}

function* three() {
  yield "one";
  yield new Output({ key: "k", timestampMs: 7, headers: [] });
  yield new Output({ topic: "other" });
}

function see({ topic, partition, offset, timestampMs, key, value, headers }) {
  const text = (content) => content?.toHex() ?? "null";
  const shown = headers.map((header) => ` ${header.name}=${text(header.value)}`).join("");
  return `${topic}/${partition}@${offset} ${timestampMs ?? "none"} ${text(key)} ${text(value)}${shown}`;
}

function recurse(depth) {
  return recurse(depth + 1) + 1;
}
