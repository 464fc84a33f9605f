// Reduces a visit to its id, its time in epoch seconds and its page.

import { type Record, Rejected, type Result } from "mapper-sdk";

/** Called for each record; what it returns is written to the output topic, under the key of the record. */
export function process(record: Record): Result {
  // A tombstone, a record without a value, is skipped.
  return record.value === null ? null : reduce(record.json());
}

/** What is left of a visit. */
export function reduce(visit: any) {
  if (visit === null || typeof visit !== "object" || Array.isArray(visit)) throw new Rejected("not a JSON object");
  if (visit.event_time == null) throw new Rejected("the visit has no event_time");
  return {
    visit_id: visit.visit_id ?? null,
    event_time: epochSeconds(visit.event_time),
    page: visit.page ?? null,
  };
}

/** The seconds since 1970 of a time in ISO 8601; one without an offset is UTC. */
export function epochSeconds(time: unknown): number {
  if (typeof time !== "string") throw new Rejected(`event_time is not a time in ISO 8601: ${JSON.stringify(time)}`);
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(time) || !time.includes("T");
  const milliseconds = Date.parse(hasZone ? time : `${time}Z`);
  if (Number.isNaN(milliseconds)) throw new Rejected(`event_time is not a time in ISO 8601: "${time}"`);
  return Math.trunc(milliseconds / 1000);
}
