// Lines of the host's log, each with the record it is about.

import logging from "mapper-host:mapper/logging@1.0.0";
import progress from "mapper-host:mapper/progress@1.0.0";

/** Where in the batch the mapper is. The host is told only as often as it asks to be, or before a line is written. */
export const position = {
  current: -1,
  due: 0,
  tell() {
    if (this.current >= 0) this.due = progress.at(this.current);
  },
};

/** Writes the lines of a text, once the host knows which record they are about. */
export function write(level, text) {
  position.tell();
  for (const line of text.toWellFormed().split("\n")) logging.log(level, line);
}
