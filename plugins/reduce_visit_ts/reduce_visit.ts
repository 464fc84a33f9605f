// Reduces a visit to its id, its time in epoch seconds and its page.

import { type Record, Rejected } from "mapper-sdk";

interface Reduced {
  visit_id: unknown;
  event_time: number;
  page: unknown;
}

/** The reduced visit under the same key; what is no visit is rejected. */
export function process(record: Record): Reduced {
  return reduce(record.json());
}

/** What is left of a visit. */
export function reduce(visit: unknown): Reduced {
  const field = (name: string): unknown => {
    const value = (visit as { [name: string]: unknown } | null)?.[name];
    if (value === undefined) throw new Rejected(`the visit has no ${name}`);
    return value;
  };
  return { visit_id: field("visit_id"), event_time: epochSeconds(field("event_time")), page: field("page") };
}

/** The seconds since 1970 of a time in ISO 8601; one without an offset is UTC. */
export function epochSeconds(time: unknown): number {
  if (typeof time !== "string") throw new Rejected("event_time must be a string");
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(time.slice(-6)) || !time.includes("T");
  const seconds = Math.trunc(Date.parse(hasZone ? time : `${time}Z`) / 1000);
  if (Number.isNaN(seconds)) throw new Rejected(`event_time is no time in ISO 8601: ${time}`);
  return seconds;
}
