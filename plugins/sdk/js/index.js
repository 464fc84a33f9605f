// The input record and the outputs of a mapper. The reference is in index.d.ts.

export class Rejected extends Error {
  constructor(message) {
    // The message needs no stack, and to collect one takes ten times as long as the rest.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(String(message));
    Error.stackTraceLimit = stackTraceLimit;
    this.name = "Rejected";
  }
}

const strict = new TextDecoder("utf-8", { fatal: true });

export class Record {
  constructor(value, { key = null, headers = [], timestampMs = null, topic = "test", partition = 0, offset = 0 } = {}) {
    this.value = typeof value === "string" ? new TextEncoder().encode(value) : value;
    this.key = typeof key === "string" ? new TextEncoder().encode(key) : key;
    this.headers = headers;
    this.timestampMs = timestampMs;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
  }

  text() {
    const { value } = this;
    if (value === null) throw new Rejected("the record has no value (a tombstone)");
    try {
      return strict.decode(value);
    } catch {
      throw new Rejected("the value is not UTF-8");
    }
  }

  json() {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Rejected(`the value is not JSON: ${error.message}`);
    }
  }

  header(name) {
    return this.headers.findLast((header) => header.name === name)?.value;
  }
}

export class Output {
  constructor({ value, json, key, headers, topic, timestampMs, ...unknown } = {}) {
    for (const name of Object.keys(unknown)) throw new TypeError(`an output has no '${name}'`);
    if (json !== undefined && value !== undefined) throw new TypeError("an output has a value or json, not both");
    this.value = json === undefined ? value : toJson(json);
    this.key = key;
    this.headers = headers;
    this.topic = topic;
    this.timestampMs = timestampMs;
  }
}

/** Returns a value as JSON. Throws `TypeError` if it has no JSON form, such as a function or a `bigint`. */
export function toJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} can't be written as JSON`);
  return text;
}

export class Settings extends Map {
  required(key) {
    if (!this.has(key)) throw new Rejected(`the setting '${key}' is missing; give it with --set ${key}=VALUE`);
    return this.get(key);
  }

  only(...known) {
    const knownKeys = known.length ? `; known are: ${known.join(", ")}` : ": this mapper has no settings";
    for (const key of this.keys()) {
      if (!known.includes(key)) throw new Rejected(`unknown setting '${key}'${knownKeys}`);
    }
  }
}
