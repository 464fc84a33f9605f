// A guest that does what its records say, as ../commands.rs does.

import { Output, Rejected, type Header, type Record as Input, type Result, type Settings } from "mapper-sdk";

type Command = (rest: string, record: Input) => Result;

class Refusal extends Error {
  override name = "Refusal";
}

const headers: Header[] = [
  { name: "a", value: "1" },
  { name: "a", value: null },
  { name: "", value: Uint8Array.of(255) },
];

const commands: { readonly [word: string]: Command | undefined } = {
  skip: () => null,
  keep: () => new Output(),
  value: (rest) => rest,
  tombstone: () => new Output({ value: null }),
  key: (key) => new Output({ key }),
  "null-key": () => new Output({ key: null }),
  topic: (topic) => new Output({ topic }),
  time: (rest) => new Output({ timestampMs: Number(rest) }),
  headers: () => new Output({ headers }),
  "no-headers": () => new Output({ headers: [] }),
  three: () => ["one", new Output({ key: "k", timestampMs: 7, headers: [] }), new Output({ topic: "other" })],
  see: (_rest, record) => see(record),
  reject(rest) {
    throw new Rejected(rest);
  },
  panic(rest) {
    throw new Refusal(rest);
  },
  spin() {
    for (;;);
  },
  recurse: () => String(recurse(0)),
  allocate() {
    for (const hoard: Uint8Array[] = []; ; ) hoard.push(new Uint8Array(1 << 20).fill(1));
  },
  print(rest) {
    console.log(rest);
    return new Output();
  },
  log(rest) {
    console.info(rest);
    return new Output();
  },
};

export function configure(settings: Settings): void {
  settings.only("greeting");
  if (settings.get("greeting") === "") throw new Rejected("an empty greeting");
}

export function process(record: Input): Result {
  if (record.value === null) throw new Rejected("no value");
  const [word, rest] = split(record);
  const command = commands[word];
  if (!command) throw new Rejected(`unknown command ${word}`);
  return command(rest, record);
}

function split(record: Input): [word: string, rest: string] {
  let text: string;
  try {
    text = record.text();
  } catch {
    throw new Rejected("not UTF-8");
  }
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function see({ topic, partition, offset, timestampMs, key, value, headers }: Input): string {
  const hex = (content: Header["value"]): string => {
    if (content === null) return "null";
    return Array.from(content as Uint8Array, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const shown = headers.map((header) => ` ${header.name}=${hex(header.value)}`).join("");
  return `${topic}/${partition}@${offset} ${timestampMs ?? "none"} ${hex(key)} ${hex(value)}${shown}`;
}

function recurse(depth: number): number {
  return recurse(depth + 1) + 1;
}
