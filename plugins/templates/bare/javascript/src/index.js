// Passes each record on as it is.

import { Output } from "mapper-sdk";

/**
 * Called for each record; what it returns is written to the output topic. `throw new Rejected(…)` makes a dead letter.
 *
 * @param {import("mapper-sdk").Record} record
 * @returns {import("mapper-sdk").Result}
 */
export function process(record) {
  return new Output();
}
