// Math.random. The engine seeds its own generator when the plugin is built, so every instance would have the same numbers.

// The generator sfc32 of PractRand, by Chris Doty-Humphrey (https://pracrand.sourceforge.net).
let [a, b, c, counter] = [0, 0, 0, 1];

function next() {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (((c << 21) | (c >>> 11)) + sum) | 0;
  return sum >>> 0;
}

/** Seeds the generator from the clocks. */
export function seed() {
  [a, b, c, counter] = [Date.now() | 0, (performance.now() * 1e6) | 0, (Date.now() / 2 ** 32) | 0, 1];
  for (let round = 0; round < 12; round += 1) next();
  Math.random = () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}
