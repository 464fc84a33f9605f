// Makes the plugin: esbuild puts the mapper and the SDK into one module, componentize-qjs puts that into a component.
// Run by `mapper-host build` in the project's folder: node build.mjs TOOLS SDK-ENTRY WIT WORLD OUTPUT BUNDLED

import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { createRequire, SourceMap } from "node:module";
import { dirname, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, entry, wit, world, output, bundledFiles] = process.argv.slice(2);
const require = createRequire(`${tools}/`);
const esbuild = require("esbuild");
const { componentize } = await import(pathToFileURL(require.resolve("componentize-qjs")));

const bundled = await esbuild
  .build({
    stdin: { contents: readFileSync(entry, "utf8"), sourcefile: "mapper-host", resolveDir: process.cwd() },
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2023",
    external: ["mapper-host:*"],
    sourcemap: "external",
    metafile: true,
    outfile: "mapper.js",
    write: false,
    logLevel: "warning",
  })
  .catch(() => process.exit(1));

// The files that are in the plugin, for `mapper-host build` to see whether they have changed.
const inputs = Object.keys(bundled.metafile.inputs).filter((file) => file !== "mapper-host");
writeFileSync(bundledFiles, JSON.stringify(inputs.map((file) => resolve(file))));

const text = (ending) => bundled.outputFiles.find((file) => file.path.endsWith(ending)).text;
const code = text(".js");
const { files, places } = sources(code, JSON.parse(text(".js.map")));
try {
  const jsSource = `${code}\nglobalThis.mapperSources = ${JSON.stringify({ files, places })};\n`;
  const { component } = await componentize({ witPath: wit, world, jsSource, sync: true });
  writeFileSync(output, component);
} catch (error) {
  // What goes wrong when the module is imported, in the places that the author knows.
  const own = (place, line) => (places[line - 1] ? `${files[places[line - 1][0]]}:${places[line - 1][1]}` : place);
  console.error(String(error.message ?? error).replace(/componentize-qjs:user\.js:(\d+):\d+/g, own));
  process.exit(1);
}

// For each line of the bundle the file and line it comes from, if it is the author's.
function sources(code, map) {
  const sourceMap = new SourceMap(map);
  // The folder of the SDK, whether it is in the project or npm has installed it.
  const sdk = dirname(realpathSync(createRequire(resolve("package.json")).resolve("mapper-sdk"))) + sep;
  const files = [];
  const places = code.split("\n").map((line, index) => {
    // A statement may begin before the first entry of its line; what is found there is of another line.
    const entry = (column) => sourceMap.findEntry(index, column);
    if (entry(line.length).generatedLine !== index) return null;
    let column = 0;
    while (entry(column).generatedLine !== index) column += 1;
    const { originalSource: source, originalLine } = entry(column);
    if (!source || source === "mapper-host" || resolve(source).startsWith(sdk)) return null;
    if (!files.includes(source)) files.push(source);
    return [files.indexOf(source), originalLine + 1];
  });
  return { files, places };
}
