/**
 * Write a mapper for mapper-host in JavaScript or TypeScript: a module that exports one function from record to result.
 *
 *     import { Rejected } from "mapper-sdk";
 *
 *     export function process(record) {
 *       if (record.value === null) throw new Rejected("no value");
 *       return record.text().toUpperCase();
 *     }
 *
 * `throw new Rejected(message)` sends the record to the dead letters with that message. Any other exception does so too, with
 * its type, its message and its stack: it is a mistake, so it says where. The mapper lives on.
 *
 * A mapper with settings (`--set KEY=VALUE`) exports a second function, which is called once before the first record:
 *
 *     export function configure(settings) {
 *       settings.only("page");
 *       page = settings.required("page");
 *     }
 *
 * `console` writes to the host's log, with topic, partition and offset of the record.
 */

/** A header. Names may repeat, and their order counts; a `null` value is Kafka's null. */
export interface Header {
  name: string;
  value: Uint8Array | string | null;
}

/** One record of the input topic. */
export class Record {
  /** Makes one by hand, for tests; text becomes UTF-8. */
  constructor(value: Uint8Array | string | null, rest?: Partial<RecordRest>);
  /** `null` is Kafka's null, a tombstone, which is not the same as no bytes. */
  readonly value: Uint8Array | null;
  /** `null` is Kafka's null. */
  readonly key: Uint8Array | null;
  /** In the order in which the producer wrote them; the values are bytes. */
  readonly headers: readonly Header[];
  /** Milliseconds since 1970-01-01T00:00:00Z; `null` when the record carries none. */
  readonly timestampMs: number | null;
  readonly topic: string;
  readonly partition: number;
  /** Exact up to 2^53 - 1. */
  readonly offset: number;
  /** The value as text. Throws `Rejected` when there is none, or it is not UTF-8. */
  text(): string;
  /** The value as JSON. Throws `Rejected` when it is none. */
  json(): any;
  /** The value of the last header of that name, which is the one that counts; `undefined` when there is none. */
  header(name: string): Uint8Array | string | null | undefined;
}

/** What a record made by hand has beside its value. */
export interface RecordRest {
  key: Uint8Array | string | null;
  headers: Header[];
  timestampMs: number | null;
  topic: string;
  partition: number;
  offset: number;
}

/** One record to produce. What it doesn't set is as in the input record; a value or key of `null` is Kafka's null. */
export class Output {
  constructor(fields?: OutputFields);
}

export interface OutputFields {
  value?: Uint8Array | string | null;
  /** Written as the value. */
  json?: unknown;
  key?: Uint8Array | string | null;
  headers?: Header[];
  /** One that the host was started with (`--output-topic`, `--extra-topic`). */
  topic?: string;
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  timestampMs?: number;
}

/** What `process` may return: an output, or short for one a value or an object (as JSON); `null` skips the record. */
export type Result = Output | string | Uint8Array | object | Iterable<Result> | null | undefined | void;

/** Sends the record to the dead letters with this message; thrown by `configure`, it refuses the settings. */
export class Rejected extends Error {
  constructor(message: unknown);
}

/** Settings as `--set KEY=VALUE` gave them. */
export class Settings extends Map<string, string> {
  /** The value of a setting that must be there. */
  required(key: string): string;
  /** Checks that there is no setting but these, so that a mistyped one is seen. */
  only(...known: string[]): void;
}
