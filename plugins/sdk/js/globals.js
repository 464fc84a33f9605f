// Parts of the web platform that QuickJS lacks. `mapper-host build` imports them before the module of the mapper.

import { write } from "./log.js";
import { decode, decodeLossily, encode } from "./text.js";

globalThis.TextEncoder = class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    return encode(String(text));
  }
};

globalThis.TextDecoder = class TextDecoder {
  encoding = "utf-8";

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*utf-?8\s*$/i.test(label)) throw new RangeError(`the encoding '${label}' is not known; utf-8 is`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(input = new Uint8Array()) {
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    let text;
    try {
      text = decode(bytes);
    } catch (error) {
      if (this.fatal) throw new TypeError("the bytes are not UTF-8");
      text = decodeLossily(bytes);
    }
    return !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
};

function shown(item) {
  if (typeof item === "string") return item;
  if (item instanceof Error) return `${item.name}: ${item.message}`;
  try {
    return JSON.stringify(item) ?? String(item);
  } catch {
    return String(item);
  }
}

const writer = (level) => (...items) => write(level, items.map(shown).join(" "));

globalThis.console = {
  trace: writer("trace"),
  debug: writer("debug"),
  log: writer("info"),
  info: writer("info"),
  warn: writer("warn"),
  error: writer("error"),
};
