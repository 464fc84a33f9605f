// Passes each record on as it is.

import { Output, type Record, type Result } from "mapper-sdk";

/** Called for each record; what it returns is written to the output topic. `throw new Rejected(…)` makes a dead letter. */
export function process(record: Record): Result {
  return new Output();
}
