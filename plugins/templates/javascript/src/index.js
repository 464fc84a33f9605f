// Reduces a visit to its id, its time in epoch seconds and its page.

import { Rejected } from "mapper-sdk";

import { epochSeconds } from "./iso_time.js";

/**
 * Called for each record; what it returns is written to the output topic, under the key of the record.
 *
 * @param {import("mapper-sdk").Record} record
 * @returns {import("mapper-sdk").Result}
 */
export function process(record) {
  // A tombstone, a record without a value, is skipped.
  return record.value === null ? null : reduce(record.json());
}

/** What is left of a visit. */
export function reduce(visit) {
  if (visit === null || typeof visit !== "object" || Array.isArray(visit)) throw new Rejected("not a JSON object");
  if (visit.event_time == null) throw new Rejected("the visit has no event_time");
  return {
    visit_id: visit.visit_id ?? null,
    event_time: epochSeconds(visit.event_time),
    page: visit.page ?? null,
  };
}
