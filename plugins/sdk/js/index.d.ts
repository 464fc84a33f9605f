/**
 * Write a mapper for mapper-host in JavaScript or TypeScript: a module that exports one function from a record to the records to
 * produce.
 *
 *     import { Rejected } from "mapper-sdk";
 *
 *     export function process(record) {
 *       if (record.value === null) throw new Rejected("no value");
 *       return record.text().toUpperCase();
 *     }
 *
 * `process` returns a {@link Result}. It must not be `async`.
 *
 * `throw new Rejected(message)` sends the record to the dead letters with this message. Any other exception is an error in the mapper:
 * it sends the record to the dead letters with its type, its message and its stack. The mapper goes on in both cases.
 *
 * A mapper with settings (`--set KEY=VALUE`) exports a second function. The host calls it once per instance, before the first record.
 * If it throws, the host does not start and prints the message:
 *
 *     export function configure(settings) {
 *       settings.only("page");
 *       page = settings.required("page");
 *     }
 *
 * A mapper without this function refuses every setting.
 *
 * `console` writes lines to the log of the host, with the topic, partition and offset of the current record. The host cuts a line after
 * 8 KiB (`wit/mapper.wit`).
 */

/** A header of a record. A name may occur more than once, and the order of the headers counts. */
export interface Header {
  /** In an input record, U+FFFD stands in the place of bytes that are not UTF-8. */
  name: string;
  /** `null` is Kafka's null. In an input record the value is never a string. In an output a string is written as UTF-8. */
  value: Uint8Array | string | null;
}

/** A record of the input topic. */
export class Record {
  /**
   * Makes a record for unit tests. A string is written as UTF-8. Without `rest` the record has no key, no headers and no timestamp, at
   * offset 0 of partition 0 of the topic `test`.
   */
  constructor(value: Uint8Array | string | null, rest?: Partial<RecordRest>);
  /** `null` is Kafka's null, a tombstone (https://kafka.apache.org/documentation/#compaction). It differs from no bytes. */
  readonly value: Uint8Array | null;
  /** `null` is Kafka's null. It differs from no bytes. */
  readonly key: Uint8Array | null;
  /** In the order in which the producer wrote them. */
  readonly headers: readonly Header[];
  /** Milliseconds since 1970-01-01T00:00:00Z. `null` if the record has no timestamp. */
  readonly timestampMs: number | null;
  /** The topic that the host read the record from. */
  readonly topic: string;
  /** The partition that the host read the record from, 0 to 2^31 - 1. */
  readonly partition: number;
  /** The offset in this partition. Exact up to 2^53 - 1 (`Number.MAX_SAFE_INTEGER`), rounded beyond. */
  readonly offset: number;
  /**
   * The value, decoded as UTF-8.
   *
   * @throws {@link Rejected} if the record has no value, or it is not UTF-8.
   */
  text(): string;
  /**
   * The value, decoded as JSON by `JSON.parse`: numbers are rounded to doubles.
   *
   * @throws {@link Rejected} if the record has no value, or it is not JSON in UTF-8. The message is that of `JSON.parse`.
   */
  json(): any;
  /**
   * The value of the last header with this name, as `Headers.lastHeader` of Kafka's Java client returns it. `undefined` if there is
   * none.
   */
  header(name: string): Uint8Array | string | null | undefined;
}

/** The parts of a record beside its value. A string as the key is written as UTF-8. */
export interface RecordRest {
  key: Uint8Array | string | null;
  headers: Header[];
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  timestampMs: number | null;
  topic: string;
  partition: number;
  offset: number;
}

/** A record to produce. A part that is not set is that of the input record. */
export class Output {
  /**
   * @throws `TypeError` if there are both `value` and `json`, if `json` has no JSON form, or if a field is unknown.
   */
  constructor(fields?: OutputFields);
}

/** The parts of an output. A string is written as UTF-8. */
export interface OutputFields {
  /** `null` is Kafka's null, a tombstone. */
  value?: Uint8Array | string | null;
  /** Written as JSON in the place of `value`, by `JSON.stringify`. */
  json?: unknown;
  /** `null` is Kafka's null. */
  key?: Uint8Array | string | null;
  /** In the place of all headers of the input record. */
  headers?: Header[];
  /**
   * One that the host was started with (`--output-topic`, `--extra-topic`). Any other fails the record with `invalid-output`. Without it
   * the record goes to the default output topic.
   */
  topic?: string;
  /** Milliseconds since 1970-01-01T00:00:00Z: an integer from 0 to 2^53 - 1. Kafka has no negative timestamps. */
  timestampMs?: number;
}

/**
 * The value of `process`. A string or `Uint8Array` is short for an output with this value, and any other object for one with this value
 * as JSON. An iterable of these stands for several outputs, in this order. `null`, `undefined` and an empty iterable skip the record.
 */
export type Result = Output | string | Uint8Array | object | Iterable<Result> | null | undefined | void;

/**
 * The mapper refuses the record: the host sends it to the dead letters with this message, without a stack. In `configure`, the mapper
 * refuses its settings: the host does not start and prints the message.
 */
export class Rejected extends Error {
  /** Any value, as `String(message)`. */
  constructor(message: unknown);
}

/** The settings that the host was started with (`--set KEY=VALUE`), in ascending order of the keys. */
export class Settings extends Map<string, string> {
  /**
   * The value of a required setting.
   *
   * @throws {@link Rejected} if the setting was not given. The message names it.
   */
  required(key: string): string;
  /**
   * Checks that there are no settings except these, so that a misspelled one is reported.
   *
   * @throws {@link Rejected} if there is an unknown setting. The message names it and the known ones.
   */
  only(...known: string[]): void;
}
