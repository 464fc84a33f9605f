// Exports of the world mapper-batch, for the module of the mapper. For `mapper-host build`.

import { OutputColumns, Records } from "./columns.js";
import { Rejected, Settings } from "./index.js";
import { position } from "./log.js";
import { seed } from "./random.js";

/** Returns the export that describes and configures the mapper. */
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

/** Returns the export that maps batches. */
export function batchMapper({ process }) {
  if (typeof process !== "function") throw new TypeError("the mapper exports no function 'process'");
  return {
    process(batch) {
      const columns = new OutputColumns();
      const records = new Records(batch);
      position.due = 0;
      for (let index = 0; index < records.length; index += 1) {
        position.current = index;
        if (index >= position.due) position.report();
        try {
          columns.map(process(records.at(index)));
        } catch (error) {
          columns.reject(message(error));
        }
      }
      position.current = -1;
      return columns.finish();
    },
  };
}

/** Returns the message of a `Rejected`; of any other error its type, its message and its frames; and any other value as a string. */
function message(error) {
  if (error instanceof Rejected) return error.message;
  if (!(error instanceof Error)) return String(error);
  return [`${error.name}: ${error.message}`, ...frames(error.stack ?? "")].join("\n");
}

/** Returns the frames in the files of the mapper. `mapper-host build` sets `mapperSources`: the source file and line of each line. */
function frames(stack) {
  const { files, places } = globalThis.mapperSources;
  return stack.split("\n").flatMap((frame) => {
    const [, name, line] = /at (.*?) ?\(?[^\s()]*:(\d+):\d+\)?$/.exec(frame.trim()) ?? [];
    const [file, own] = places[line - 1] ?? [];
    return own === undefined ? [] : [`    at ${name || "<anonymous>"} (${files[file]}:${own})`];
  });
}
