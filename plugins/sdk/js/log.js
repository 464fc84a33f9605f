// Writes lines to the log of the host, each with the current record.

import logging from "mapper-host:mapper/logging@1.0.0";
import progress from "mapper-host:mapper/progress@1.0.0";

/** The index of the current record. The host gets it as rarely as it allows, and before each line of the log. */
export const position = {
  current: -1,
  due: 0,
  /** Reports the current record to the host, which answers at which record it wants the next report. */
  report() {
    if (this.current >= 0) this.due = progress.at(this.current);
  },
};

/** Writes the lines of a text, after a report of the current record. */
export function write(level, text) {
  position.report();
  for (const line of text.toWellFormed().split("\n")) logging.log(level, line);
}
