// Reads records from the columns of a batch and writes outputs to columns. wit/mapper.wit has the rules.

import { Output, Record, toJson } from "./index.js";
import { areAscii, decodeLossily, encode, encodeAscii, latin1 } from "./text.js";

const NULL_MARK = 1;
const KEEP_MARK = 2;
const KEEP_TIMESTAMP = -1;
// A larger column is decoded record by record: a copy of it as text may not fit into the memory of the instance.
const MAX_WHOLE_BYTES = 2 ** 22;
const NO_BYTES = new Uint8Array();

/** The items of a column. */
class Items {
  constructor({ bytes, ends, marks }) {
    this.bytes = bytes;
    this.ends = ends;
    this.marks = marks.length ? marks : null;
    this.whole = undefined;
  }

  /** Returns whether all of the column is ASCII: then `text` can slice it, because positions in text and bytes are equal. */
  isText(index) {
    if (this.whole === undefined) {
      const isWhole = this.bytes.length <= MAX_WHOLE_BYTES && areAscii(this.bytes);
      this.whole = isWhole ? latin1(this.bytes) : null;
    }
    return this.whole !== null && !this.isNull(index);
  }

  isNull(index) {
    return this.marks !== null && this.marks[index] === NULL_MARK;
  }

  start(index) {
    return index === 0 ? 0 : this.ends[index - 1];
  }

  at(index) {
    return this.isNull(index) ? null : this.bytes.slice(this.start(index), this.ends[index]);
  }

  /** Returns an item of a column that is ASCII. */
  text(index) {
    return this.whole.slice(this.start(index), this.ends[index]);
  }
}

/** A record of a batch. Its text is a slice of the text of the column if that is ASCII. It copies key and value when they are used. */
class BatchRecord {
  #batch;
  #index;
  #key;
  #value;

  constructor(batch, index) {
    this.#batch = batch;
    this.#index = index;
    const time = batch.timestampsMs[index];
    this.headers = batch.headers === null ? [] : batch.headers[index];
    this.timestampMs = time === -1 ? null : time;
    this.topic = batch.topic;
    this.partition = batch.partitions[index];
    this.offset = batch.offsets[index];
  }

  get key() {
    return (this.#key ??= this.#batch.keys.at(this.#index));
  }

  get value() {
    return (this.#value ??= this.#batch.values.at(this.#index));
  }

  text() {
    const { values } = this.#batch;
    return values.isText(this.#index) ? values.text(this.#index) : super.text();
  }
}
// A call of the constructor of `Record` would take as long as the rest.
Object.setPrototypeOf(BatchRecord.prototype, Record.prototype);

/** The records of a batch. */
export class Records {
  constructor({ topic, partitions, offsets, timestampsMs, keys, values, headers }) {
    this.topic = topic;
    this.partitions = partitions;
    this.offsets = offsets;
    this.timestampsMs = timestampsMs;
    this.keys = new Items(keys);
    this.values = new Items(values);
    this.headers = headers ? headersOf(headers) : null;
    this.length = offsets.length;
  }

  at(index) {
    return new BatchRecord(this, index);
  }
}

/** Returns the headers of each record, in the order of the records. */
function headersOf(table) {
  const names = new Items(table.names);
  const values = new Items(table.values);
  const every = table.names.ends.map((_, index) => ({
    name: decodeLossily(names.at(index)),
    value: values.at(index),
  }));
  return table.ends.map((end, index) => every.slice(index === 0 ? 0 : table.ends[index - 1], end));
}

/** The verdicts on a batch under construction. */
export class OutputColumns {
  statuses = [];
  outputEnds = [];
  errors = [];
  values = [];
  // Outputs with more parts than a value, by their index. Without any, the values are the only column.
  special = new Map();

  /** Adds the outputs that `process` returned for a record. Throws `TypeError`, and adds none, if a type is wrong. */
  map(result) {
    if (typeof result === "string") this.values.push(result);
    else if (isPlain(result)) this.values.push(toJson(result));
    else if (result !== null && result !== undefined) {
      // Check all outputs before the first one is added.
      for (const output of [...outputsOf(result)]) this.add(output);
    }
    this.statuses.push(0);
    this.outputEnds.push(this.values.length);
  }

  /** Adds the error of a record. */
  reject(message) {
    this.errors.push(message);
    this.statuses.push(1);
    this.outputEnds.push(this.values.length);
  }

  add(output) {
    if (output instanceof Output) {
      this.special.set(this.values.length, output);
      this.values.push(isContent(output.value) ? output.value : "");
    } else this.values.push(output);
  }

  /** Returns the columns of the batch. */
  finish() {
    const outputs = { values: column(this.values) };
    if (this.special.size > 0) {
      const keep = new Output();
      const own = this.values.map((_, index) => this.special.get(index) ?? keep);
      outputs.values.marks = Uint8Array.from(own, ({ value }, index) => (this.special.has(index) ? mark(value) : 0));
      Object.assign(outputs, { keys: keys(own), topics: topics(own), headers: headers(own), timestampsMs: times(own) });
    }
    return {
      statuses: new Uint8Array(this.statuses),
      outputEnds: this.outputEnds,
      errors: column(this.errors),
      outputs: { keys: null, topics: null, headers: null, timestampsMs: null, ...outputs },
    };
  }
}

/** Returns whether the result is an object without a meaning beyond its JSON. */
function isPlain(result) {
  if (typeof result !== "object" || result === null || Object.getPrototypeOf(result) !== Object.prototype) return false;
  return result.then === undefined && result[Symbol.iterator] === undefined;
}

/** Yields the outputs that `process` returned. An output without other parts than a value is a string or bytes. */
function* outputsOf(result) {
  if (result instanceof Output) yield checked(result);
  else if (isContent(result)) yield result;
  else if (typeof result?.then === "function") throw new TypeError("process returned a promise; it must not be async");
  else if (typeof result?.[Symbol.iterator] === "function") for (const item of result) yield* outputsOf(item);
  else if (typeof result === "object" && result !== null) yield toJson(result);
  else {
    const kind = result === null ? "null" : typeof result;
    throw new TypeError(`process returned ${kind}; it may return Output, an object, string, Uint8Array, several, or null`);
  }
}

function isContent(value) {
  return typeof value === "string" || value instanceof Uint8Array;
}

/** Returns the output if its parts have the types of the contract. A wrong type would be a trap. */
function checked(output) {
  for (const name of ["value", "key"]) {
    const content = output[name];
    if (content !== undefined && content !== null && !isContent(content)) {
      throw new TypeError(`the ${name} of an output is ${typeof content}; it may be string, Uint8Array or null`);
    }
  }
  for (const header of output.headers ?? []) {
    if (typeof header?.name !== "string" || !(header.value === null || isContent(header.value))) {
      throw new TypeError("a header has a name, and a value that is string, Uint8Array or null");
    }
  }
  if (output.topic !== undefined && typeof output.topic !== "string") {
    throw new TypeError(`the topic of an output is ${typeof output.topic}; it may be string`);
  }
  const time = output.timestampMs;
  if (time !== undefined && !(Number.isSafeInteger(time) && time >= 0)) {
    throw new TypeError(`the timestampMs of an output is ${time}; it may be a whole number from 0 on`);
  }
  return output;
}

function mark(content) {
  return content === undefined ? KEEP_MARK : content === null ? NULL_MARK : 0;
}

/** Returns a column of strings and bytes. If all are ASCII strings, one conversion encodes them together. */
function column(contents, marks = NO_BYTES) {
  const ends = [];
  let end = 0;
  let isText = true;
  for (const item of contents) {
    isText &&= typeof item === "string";
    ends.push((end += item.length));
  }
  const ascii = isText ? encodeAscii(contents.join("")) : null;
  if (ascii !== null) return { bytes: ascii, ends, marks };
  const items = contents.map((item) => (typeof item === "string" ? encode(item) : item));
  end = 0;
  items.forEach((item, index) => (ends[index] = end += item.length));
  const bytes = new Uint8Array(end);
  items.forEach((item, index) => bytes.set(item, ends[index] - item.length));
  return { bytes, ends, marks };
}

/** Returns a column of strings, bytes, `null`, and `undefined` for the part of the input record. */
function markedColumn(contents) {
  return column(contents.map((item) => item ?? ""), Uint8Array.from(contents, mark));
}

function keys(outputs) {
  const own = outputs.map((output) => output.key);
  return own.every((key) => key === undefined) ? null : markedColumn(own);
}

function topics(outputs) {
  const names = [...new Set(outputs.map((output) => output.topic).filter((topic) => topic !== undefined))];
  return names.length ? { names, indexes: outputs.map((output) => names.indexOf(output.topic) + 1) } : null;
}

function headers(outputs) {
  if (outputs.every((output) => output.headers === undefined)) return null;
  const own = outputs.map((output) => output.headers ?? []);
  const every = own.flat();
  let end = 0;
  return {
    marks: Uint8Array.from(outputs, (output) => (output.headers === undefined ? KEEP_MARK : 0)),
    table: {
      ends: own.map((list) => (end += list.length)),
      names: column(every.map((header) => header.name)),
      values: markedColumn(every.map((header) => header.value)),
    },
  };
}

function times(outputs) {
  const own = outputs.map((output) => output.timestampMs ?? KEEP_TIMESTAMP);
  return own.every((time) => time === KEEP_TIMESTAMP) ? null : own;
}
