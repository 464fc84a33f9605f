// Reduces a visit to its id, its time in epoch seconds and its page.

import { Rejected } from "mapper-sdk";

/** The reduced visit under the same key; what is no visit is rejected. */
export function process(record) {
  return reduce(record.json());
}

/** What is left of a visit. */
export function reduce(visit) {
  const field = (name) => {
    const value = visit?.[name];
    if (value === undefined) throw new Rejected(`the visit has no ${name}`);
    return value;
  };
  return { visit_id: field("visit_id"), event_time: epochSeconds(field("event_time")), page: field("page") };
}

/** The seconds since 1970 of a time in ISO 8601; one without an offset is UTC. */
export function epochSeconds(time) {
  if (typeof time !== "string") throw new Rejected("event_time must be a string");
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(time.slice(-6)) || !time.includes("T");
  const seconds = Math.trunc(Date.parse(hasZone ? time : `${time}Z`) / 1000);
  if (Number.isNaN(seconds)) throw new Rejected(`event_time is no time in ISO 8601: ${time}`);
  return seconds;
}
