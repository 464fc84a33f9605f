// The exports of the batch world, over the author's module.

import { OutputColumns, records } from "./columns.js";
import { Rejected, Settings } from "./index.js";
import { position } from "./log.js";
import { seed } from "./random.js";

/** Who the mapper is, and how it is configured. */
export function plugin(mapper, name, version) {
  return {
    describe: () => ({ name, version }),
    configure(settings) {
      seed();
      const configure = mapper.configure ?? ((settings) => settings.only());
      try {
        configure(new Settings(settings));
      } catch (error) {
        throw message(error);
      }
    },
  };
}

/** Maps batches. */
export function batchMapper({ process }) {
  if (typeof process !== "function") throw new TypeError("the mapper exports no function 'process'");
  return {
    process(batch) {
      const columns = new OutputColumns();
      position.due = 0;
      let index = 0;
      for (const record of records(batch)) {
        position.current = index;
        if (index >= position.due) position.tell();
        try {
          columns.map(process(record));
        } catch (error) {
          columns.reject(message(error));
        }
        index += 1;
      }
      position.current = -1;
      return columns.finish();
    },
  };
}

/** What was thrown: the message of what was meant, and of a mistake its type, its message, and where it was made. */
function message(error) {
  if (error instanceof Rejected) return error.message;
  if (!(error instanceof Error)) return String(error);
  return [`${error.name}: ${error.message}`, ...frames(error.stack ?? "")].join("\n");
}

/** The frames in the author's own files: the build leaves for each line of the plugin where it comes from. */
function frames(stack) {
  const { files, places } = globalThis.mapperSources;
  return stack.split("\n").flatMap((frame) => {
    const [, name, line] = /at (.*?) ?\(?[^\s()]*:(\d+):\d+\)?$/.exec(frame.trim()) ?? [];
    const [file, own] = places[line - 1] ?? [];
    return own === undefined ? [] : [`    at ${name || "<anonymous>"} (${files[file]}:${own})`];
  });
}
